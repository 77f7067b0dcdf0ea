"""The capability `fingerprint`, which calls an extension module of another project."""

from __future__ import annotations

from pydantic import BaseModel, Field
from runtara_sdk.agents import Example, capability


class FingerprintInput(BaseModel):
    """The text."""

    text: str = Field(description="The text of which the fingerprint is taken.", examples=["A-1001"])


class FingerprintOutput(BaseModel):
    """The fingerprint."""

    fingerprint: str = Field(description="The fingerprint (XXH3, 128 bits) as 32 hexadecimal digits.")


@capability(
    id="fingerprint",
    display_name="Fingerprint",
    description="Takes the fingerprint of a text, by which equal texts are found. It is no signature.",
    effect="pure",
    examples=[
        Example(inputs={"text": "A-1001"}, output={"fingerprint": "e2be4833008a5cc1a2f645be3ba33fb8"}),
    ],
)
def fingerprint(inputs: FingerprintInput) -> FingerprintOutput:
    """Hash the text as UTF-8; a half of a surrogate pair is hashed as it stands."""
    import xxhash  # a workflow loads it when it makes the first call

    return FingerprintOutput(fingerprint=xxhash.xxh3_128_hexdigest(inputs.text.encode("utf-8", "surrogatepass")))
