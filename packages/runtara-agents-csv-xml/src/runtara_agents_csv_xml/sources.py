"""Text and bytes as inputs, shared by the agents of this package."""

from __future__ import annotations

import codecs
import io
from typing import Any, BinaryIO

from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.files import is_reference, open_file

INPUT_MISSING = "INPUT_MISSING"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LATIN = frozenset({"latin1", "iso88591", "windows1252", "cp1252"})


def open_source(data: Any, text: str | None, context: CapabilityContext) -> tuple[BinaryIO, bool]:
    """The bytes of an input, seekable, and whether they are a text that was given as such (UTF-8 then).

    Raises:
        AgentError: neither or both are given, or the file cannot be had.
    """
    if (data is None) == (text is None):
        raise AgentError.permanent(
            INPUT_MISSING, "give either `data` (a file) or `text`", attributes={"inputs": "data, text"}
        )
    if text is not None:
        return io.BytesIO(text.encode("utf-8", "surrogatepass")), True
    return open_file(data, context).stream, False


def encoding_of(stream: BinaryIO, name: str, *, is_text: bool, code: str) -> str:
    """The codec of a stream, which then stands behind its byte order mark; the mark wins over `name`.

    Args:
        stream: at its beginning.
        name: as the input says; Latin-1 and its names mean Windows-1252, as browsers do.
        is_text: whether it is UTF-8 anyhow.
        code: of the error for a name that is unknown.
    """
    head = stream.read(4)
    for mark, marked in _MARKS:
        if head.startswith(mark):
            stream.seek(len(mark))
            return marked
    stream.seek(0)
    if is_text:
        return "utf-8"
    plain = "".join(character for character in name.lower() if character.isalnum())
    if plain in _LATIN:
        return "cp1252"
    try:
        found = codecs.lookup(name)
        if not found._is_text_encoding:  # noqa: SLF001 - others are such as base64
            raise LookupError
    except (LookupError, ValueError):
        raise AgentError.permanent(
            code, f"encoding {name[:40]!r} is unknown: use UTF-8, windows-1252, UTF-16 or another name of a codec"
        ) from None
    # Without a mark, these are little-endian: what Windows writes.
    return {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(found.name, found.name)


def is_from_workspace(data: Any) -> bool:
    """Whether an input is a file of the workspace."""
    return is_reference(data)
