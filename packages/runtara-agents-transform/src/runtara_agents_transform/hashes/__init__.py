"""The agent `crypto`: digests and keyed digests."""

from __future__ import annotations

import base64
import hashlib
import hmac as keyed
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentDefinition, CapabilityContext, Example, capability
from runtara_sdk.agents.files import FILE_ERRORS, read_file

__all__ = ["crypto_agent"]

_LIMIT_BYTES = 1024**3


class HashInput(BaseModel):
    """What is hashed, and how."""

    data: Any = Field(title="Data", description="A text, or a file: {content}, {$file} or bytes.", examples=["abc"])
    algorithm: Literal["sha256", "sha512", "sha1", "md5"] = Field(
        default="sha256", description="sha1 and md5 are for checksums, not for security."
    )
    output_format: Literal["hex", "base64"] = Field(default="hex", description="Of the digest.")


class HashOutput(BaseModel):
    """A digest."""

    hash: str
    algorithm: str
    format: str


@capability(
    id="hash",
    display_name="Hash",
    description="Gives the digest of a text or a file.",
    known_errors=FILE_ERRORS,
    examples=[
        Example(
            {"data": "abc"},
            output={
                "hash": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "algorithm": "sha256",
                "format": "hex",
            },
        )
    ],
)
def hash_data(inputs: HashInput, context: CapabilityContext) -> HashOutput:
    """The digest."""
    digest = hashlib.new(inputs.algorithm, _bytes(inputs.data, context), usedforsecurity=False).digest()
    return _output(digest, inputs.algorithm, inputs.output_format)


class HmacInput(BaseModel):
    """What is signed, and how."""

    data: Any = Field(title="Data", description="A text, or a file: {content}, {$file} or bytes.", examples=["abc"])
    secret: str = Field(title="Secret", description="The key, as text.", repr=False)
    algorithm: Literal["hmac-sha256", "hmac-sha512"] = Field(default="hmac-sha256", description="The algorithm.")
    output_format: Literal["hex", "base64"] = Field(default="hex", description="Of the digest.")


@capability(
    id="hmac",
    display_name="HMAC",
    description="Gives the keyed digest of a text or a file.",
    known_errors=FILE_ERRORS,
    examples=[
        Example(
            {"data": "abc", "secret": "key"},
            output={
                "hash": "9c196e32dc0175f86f4b1cb89289d6619de6bee699e4c378e68309ed97a1a6ab",
                "algorithm": "hmac-sha256",
                "format": "hex",
            },
        )
    ],
)
def hmac(inputs: HmacInput, context: CapabilityContext) -> HashOutput:
    """The digest."""
    context.secrets.add(inputs.secret)
    name = inputs.algorithm.removeprefix("hmac-")
    secret = inputs.secret.encode("utf-8", "surrogatepass")
    return _output(keyed.digest(secret, _bytes(inputs.data, context), name), inputs.algorithm, inputs.output_format)


def _bytes(data: Any, context: CapabilityContext) -> bytes:
    if isinstance(data, str):
        return data.encode("utf-8", "surrogatepass")
    return read_file(data, context, limit_bytes=_LIMIT_BYTES)


def _output(digest: bytes, algorithm: str, output_format: str) -> HashOutput:
    text = digest.hex() if output_format == "hex" else base64.b64encode(digest).decode()
    return HashOutput(hash=text, algorithm=algorithm, format=output_format)


crypto_agent = AgentDefinition(
    id="crypto",
    name="Crypto",
    description="Digests and keyed digests of texts and files.",
    category="data",
    capabilities=[hash_data, hmac],
)
