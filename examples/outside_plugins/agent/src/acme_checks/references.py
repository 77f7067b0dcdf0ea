"""The capability `add-check-digits`, which calls the extension module of this distribution."""

from __future__ import annotations

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability

from acme_checks._mod97 import check_digits

UNUSABLE_REFERENCE = "CHECKS_UNUSABLE_REFERENCE"


class ReferenceInput(BaseModel):
    """The reference."""

    reference: str = Field(description="Digits and capital letters.", examples=["ORDER1001"], min_length=1)


class ReferenceOutput(BaseModel):
    """The reference with its check digits."""

    reference: str = Field(description="The reference, with two check digits behind it (ISO 7064, MOD 97-10).")


@capability(
    id="add-check-digits",
    display_name="Add Check Digits",
    description="Adds two digits to a reference, by which most typing errors are noticed.",
    effect="pure",
    runs_inline=True,
    known_errors=[KnownError.permanent(UNUSABLE_REFERENCE, "The reference has other characters than 0-9 and A-Z.")],
    examples=[Example(inputs={"reference": "ORDER1001"}, output={"reference": "ORDER100124"})],
)
def add_check_digits(inputs: ReferenceInput) -> ReferenceOutput:
    """Check the characters and add the digits, both in C."""
    try:
        digits = check_digits(inputs.reference)
    except ValueError:
        text = "the reference must consist of the digits 0 to 9 and the letters A to Z"
        raise AgentError.permanent(UNUSABLE_REFERENCE, text) from None
    return ReferenceOutput(reference=f"{inputs.reference}{digits:02}")
