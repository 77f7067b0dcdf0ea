"""Texts as bytes and base64."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, Example, FileData, KnownError, capability
from runtara_sdk.agents.files import FILE_ERRORS, FileInput, read_file

from runtara_agents_transform.text_format.inputs import TextInput

UNSUPPORTED_ENCODING = "TEXT_UNSUPPORTED_ENCODING"
UTF8_DECODE_ERROR = "TEXT_UTF8_DECODE_ERROR"
INVALID_INPUT_TYPE = "TEXT_INVALID_INPUT_TYPE"

_LIMIT_BYTES = 50 * 1024 * 1024
_LATIN = frozenset({"latin1", "iso88591", "windows1252", "cp1252"})
_UNSUPPORTED = KnownError.permanent(UNSUPPORTED_ENCODING, "The encoding is not supported.", "encoding")


class BytesInput(TextInput):
    """A text, and how it becomes bytes."""

    encoding: str = Field(default="UTF-8", description="UTF-8 alone.")


@capability(
    id="as-byte-array",
    display_name="As Byte Array",
    description="Gives the bytes of a text as numbers.",
    known_errors=(_UNSUPPORTED,),
    examples=[Example({"text": "hé"}, output=[104, 195, 169])],
)
def as_byte_array(inputs: BytesInput) -> list[int]:
    """The bytes."""
    if _plain(inputs.encoding) != "utf8":
        raise _unsupported(inputs.encoding, "UTF-8")
    return list(inputs.given.encode("utf-8", "replace"))


class FromBase64Input(BaseModel):
    """A file, and its encoding."""

    data: FileInput = Field(title="Data", description="The file: base64, {content}, bytes or {$file}.")
    encoding: str = Field(default="UTF-8", description="UTF-8, Latin-1 and its names, or AUTO: UTF-8, else Latin-1.")


@capability(
    id="from-base64",
    aliases=("base64-decode",),
    display_name="From Base64",
    description="Reads a file as text.",
    known_errors=(
        *FILE_ERRORS,
        _UNSUPPORTED,
        KnownError.permanent(UTF8_DECODE_ERROR, "The bytes are no UTF-8.", "byte"),
    ),
    examples=[Example({"data": "aMOp"}, output="hé")],
)
def from_base64(inputs: FromBase64Input, context: CapabilityContext) -> str:
    """The text."""
    content = read_file(inputs.data, context, limit_bytes=_LIMIT_BYTES)
    encoding = _plain(inputs.encoding)
    if encoding in _LATIN:
        return content.decode("cp1252", "replace")
    if encoding not in ("utf8", "auto"):
        raise _unsupported(inputs.encoding, "UTF-8, Latin-1 or AUTO")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if encoding == "auto":
            return content.decode("cp1252", "replace")
        raise AgentError.permanent(
            UTF8_DECODE_ERROR,
            f"byte {error.start} is not UTF-8: give the encoding, or AUTO",
            attributes={"byte": error.start},
        ) from None


class ToBase64Input(BaseModel):
    """What is encoded."""

    data: Any = Field(title="Data", description="A text, an array of bytes, {content} or {$file}.", examples=["hé"])
    filename: str | None = Field(default=None, description="Name of the result.")
    mime_type: str | None = Field(default=None, description="Media type of the result.")


@capability(
    id="to-base64",
    aliases=("base64-encode",),
    display_name="To Base64",
    description="Makes a file, {content, filename, mimeType}, of a text or bytes.",
    known_errors=(
        *FILE_ERRORS,
        KnownError.permanent(INVALID_INPUT_TYPE, "It is neither text nor bytes.", "received_type"),
    ),
    examples=[
        Example({"data": "hé", "filename": "a.txt"}, output={"content": "aMOp", "filename": "a.txt", "mimeType": None})
    ],
)
def to_base64(inputs: ToBase64Input, context: CapabilityContext) -> FileData:
    """The file."""
    data = inputs.data
    if data is None or isinstance(data, bool | int | float):
        kind = "null" if data is None else "boolean" if isinstance(data, bool) else "number"
        raise AgentError.permanent(
            INVALID_INPUT_TYPE, f"data must be a text, bytes or a file, not {kind}", attributes={"received_type": kind}
        )
    if isinstance(data, str):
        content = data.encode("utf-8", "replace")
    else:
        content = read_file(data, context, limit_bytes=_LIMIT_BYTES)
    given = data if isinstance(data, dict) else {}
    name = inputs.filename or given.get("filename")
    return FileData.of(content, filename=name, mime_type=inputs.mime_type or given.get("mimeType"))


def _plain(encoding: str) -> str:
    return "".join(character for character in encoding.lower() if character.isalnum())


def _unsupported(encoding: str, supported: str) -> AgentError:
    return AgentError.permanent(
        UNSUPPORTED_ENCODING,
        f"encoding {encoding[:40]!r} is not supported: use {supported}",
        attributes={"encoding": encoding[:40]},
    )
