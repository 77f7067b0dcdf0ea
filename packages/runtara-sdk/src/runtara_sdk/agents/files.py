"""Files as inputs and results of capabilities.

An input that takes a file (`FileInput`) has one of these forms:

| JSON | Meaning |
|---|---|
| `{"$file": "in/orders.csv"}` | a file of the instance's workspace; large data passes between steps this way |
| `{"content": "...", "filename"?, "mimeType"?}` | the bytes as base64 (`FileData`) |
| `"..."` | the bytes as base64 |
| `[104, 105]` | the bytes as numbers |
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

from pydantic import AliasChoices, BaseModel, Field, WithJsonSchema

from runtara_sdk.agents.capability import KnownError
from runtara_sdk.agents.errors import AgentError

if TYPE_CHECKING:
    from runtara_sdk.agents.context import CapabilityContext
    from runtara_sdk.agents.workspace import StoredFile

REFERENCE_KEY = "$file"

BASE64_ERROR = "FILE_BASE64_DECODE_ERROR"
STRUCTURE_ERROR = "FILE_INVALID_STRUCTURE"
BYTE_ARRAY_ERROR = "FILE_INVALID_BYTE_ARRAY"
BYTE_RANGE_ERROR = "FILE_BYTE_OUT_OF_RANGE"
TYPE_ERROR = "FILE_INVALID_INPUT_TYPE"
TOO_LARGE = "FILE_TOO_LARGE"

FILE_ERRORS = (
    KnownError.permanent(BASE64_ERROR, "The content is not base64.", "decode_error"),
    KnownError.permanent(STRUCTURE_ERROR, "The object is neither FileData nor a reference.", "parse_error"),
    KnownError.permanent(BYTE_ARRAY_ERROR, "An element of the array is not a non-negative integer.", "index"),
    KnownError.permanent(BYTE_RANGE_ERROR, "An element of the array is greater than 255.", "index", "value"),
    KnownError.permanent(TYPE_ERROR, "Null, a boolean or a number is no file.", "received_type"),
    KnownError.permanent(TOO_LARGE, "The file is larger than what may be read.", "limit_bytes"),
    KnownError.permanent("FILE_NOT_FOUND", "The workspace holds no such file.", "path"),
    KnownError.permanent("WORKSPACE_PATH_INVALID", "The path leads out of the workspace, or is none.", "path"),
    KnownError.permanent("WORKSPACE_UNAVAILABLE", "The program has no workspace."),
)
"""What every capability with a `FileInput` may raise."""

WORKSPACE_ERRORS = (
    KnownError.permanent("WORKSPACE_PATH_INVALID", "The path leads out of the workspace, or is none.", "path"),
    KnownError.permanent("WORKSPACE_UNAVAILABLE", "The program has no workspace."),
    KnownError.permanent("WORKSPACE_FULL", "The workspace may not grow any further.", "limit_bytes"),
    KnownError.permanent("FILE_ALREADY_EXISTS", "The file is there, and may not be replaced.", "path"),
    KnownError.permanent("FILE_IS_DIRECTORY", "The path is a directory, or leads through a file.", "path"),
    KnownError.transient("WORKSPACE_IO_ERROR", "The disk refuses.", "path"),
)
"""What every capability that writes into the workspace may raise."""

FileInput = Annotated[
    Any,
    WithJsonSchema(
        {
            "format": "file",
            "description": 'A file: {"$file": path in the workspace}, {content, filename?, mimeType?} with base64, '
            "base64 text, or an array of bytes.",
        }
    ),
]
"""Type of an input that takes a file in any of its forms."""


class FileData(BaseModel):
    """A file whose content is part of the JSON."""

    content: str = Field(description="The bytes, base64.", repr=False)
    filename: str | None = Field(default=None, description="Name of the file.")
    mime_type: str | None = Field(
        default=None,
        validation_alias=AliasChoices("mimeType", "mime_type"),
        serialization_alias="mimeType",
        description="Media type.",
    )

    @classmethod
    def of(cls, content: bytes, *, filename: str | None = None, mime_type: str | None = None) -> FileData:
        """The JSON form of `content`."""
        return cls(content=base64.b64encode(content).decode(), filename=filename, mime_type=mime_type)


class FileReference(BaseModel):
    """A file of the workspace, for other steps of the same instance."""

    path: str = Field(
        validation_alias=AliasChoices(REFERENCE_KEY, "path"),
        serialization_alias=REFERENCE_KEY,
        description="Path in the workspace.",
    )
    filename: str | None = Field(default=None, description="Last part of the path.")
    size: int | None = Field(default=None, description="Bytes.")
    sha256: str | None = Field(default=None, description="SHA-256 of the content, hexadecimal.")
    mime_type: str | None = Field(
        default=None,
        validation_alias=AliasChoices("mimeType", "mime_type"),
        serialization_alias="mimeType",
        description="Media type.",
    )

    @classmethod
    def of(cls, file: StoredFile, *, mime_type: str | None = None) -> FileReference:
        """The reference to a file that was written."""
        return cls.model_validate(file.reference(mime_type=mime_type))


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file input, open for reading.

    Attributes:
        stream: seekable; closed by whoever opened it.
        size: bytes.
        filename, mime_type: as the input says, if it does.
    """

    stream: BinaryIO
    size: int
    filename: str | None = None
    mime_type: str | None = None

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()


def open_file(value: Any, context: CapabilityContext) -> OpenFile:
    """Open a `FileInput`; a file of the workspace is read as it is needed, every other form is in memory already.

    Raises:
        AgentError: one of `FILE_ERRORS`.
    """
    if isinstance(value, Mapping):
        name, mime_type = _optional_text(value, "filename"), _optional_text(value, "mimeType")
        if REFERENCE_KEY in value:
            path = value[REFERENCE_KEY]
            if not isinstance(path, str):
                raise _structure(f"{REFERENCE_KEY} must be a path, a text")
            stream = context.require_workspace().open(path)
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            return OpenFile(stream, size, name or PurePosixPath(path).name, mime_type)
        content = value.get("content")
        if not isinstance(content, str):
            raise _structure(f"it needs 'content' (base64, a text) or '{REFERENCE_KEY}' (a path)")
        return _in_memory(_decode(content), name, mime_type)
    if isinstance(value, str):
        return _in_memory(_decode(value))
    if isinstance(value, list):
        return _in_memory(_bytes_of(value))
    raise AgentError.permanent(
        TYPE_ERROR,
        f"a file is base64 text, an object or an array of bytes, not {_type_name(value)}",
        attributes={"received_type": _type_name(value)},
    )


def read_file(value: Any, context: CapabilityContext, *, limit_bytes: int) -> bytes:
    """The bytes of a `FileInput`.

    Raises:
        AgentError: one of `FILE_ERRORS`; FILE_TOO_LARGE when there are more than `limit_bytes`.
    """
    with open_file(value, context) as file:
        if file.size > limit_bytes:
            raise too_large(file.size, limit_bytes)
        return file.stream.read()


def is_reference(value: Any) -> bool:
    """Whether a JSON value is a reference to a file of the workspace."""
    return isinstance(value, Mapping) and isinstance(value.get(REFERENCE_KEY), str)


def too_large(size: int, limit_bytes: int) -> AgentError:
    """The error of a file that is too large to be read whole."""
    return AgentError.permanent(
        TOO_LARGE,
        f"the file has {size} bytes, and at most {limit_bytes} can be read at once",
        attributes={"limit_bytes": limit_bytes},
    )


def _in_memory(content: bytes, filename: str | None = None, mime_type: str | None = None) -> OpenFile:
    return OpenFile(io.BytesIO(content), len(content), filename, mime_type)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AgentError.permanent(
            BASE64_ERROR,
            "the content is not base64; plain text is given as `text` where a capability takes text",
            attributes={"decode_error": str(error)[:200]},
        ) from None


def _bytes_of(items: list[Any]) -> bytes:
    for index, item in enumerate(items):
        if isinstance(item, bool) or not isinstance(item, int) or item < 0:
            raise AgentError.permanent(
                BYTE_ARRAY_ERROR,
                f"element {index} of the array is not a byte but {_type_name(item)}",
                attributes={"index": index},
            )
        if item > 255:
            raise AgentError.permanent(
                BYTE_RANGE_ERROR,
                f"element {index} of the array is greater than 255",
                attributes={"index": index, "value": item if item < 2**64 else "beyond 64 bits"},
            )
    return bytes(items)


def _optional_text(value: Mapping[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise _structure(f"{name} must be a text")
    return text


def _structure(reason: str) -> AgentError:
    return AgentError.permanent(STRUCTURE_ERROR, f"the object is no file: {reason}", attributes={"parse_error": reason})


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
