"""The bytes of a document as UTF-8, whatever they are written in, and without a document type."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from runtara_sdk.agents import AgentError

from runtara_agents_csv_xml.sources import encoding_of

ENCODING_ERROR = "XML_ENCODING_ERROR"
DOCTYPE_REFUSED = "XML_DOCTYPE_REFUSED"
TOO_LARGE = "XML_TOO_LARGE"

PIECE_BYTES = 64 * 1024

_LONGEST_PROLOG = 1024 * 1024
_HEAD_BYTES = 1024
_DECLARATION = re.compile(rb"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"'>]{1,40})["']""")
_BY_ZEROS = {
    b"<\0\0\0": "utf-32-le",
    b"\0\0\0<": "utf-32-be",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
_ASCII_INSIDE = frozenset({"utf-8", "ascii"})


def utf8_pieces(stream: BinaryIO, name: str | None, *, is_text: bool) -> Iterator[bytes]:
    """The document in pieces, as UTF-8, after its beginning was looked through for a document type.

    Args:
        stream: at its beginning.
        name: of the encoding, as the input says; None lets the document say it.
        is_text: whether it is UTF-8 anyhow.

    Raises:
        AgentError: permanent XML_ENCODING_ERROR, XML_DOCTYPE_REFUSED or XML_TOO_LARGE.
    """
    codec = _codec(stream, name, is_text=is_text)
    pieces = _raw(stream) if codec in _ASCII_INSIDE else _decoded(stream, codec)
    beginning = b""
    for piece in pieces:
        beginning += piece
        if _prolog_is_over(beginning):
            break
        if len(beginning) > _LONGEST_PROLOG:
            raise AgentError.permanent(
                TOO_LARGE,
                f"{_LONGEST_PROLOG} bytes stand before the first element: remove comments there",
                attributes={"limit": _LONGEST_PROLOG},
            )
    yield from chain((beginning,), pieces)


def refuse_document_type(text: str) -> None:
    """Raise `AgentError` when a document has a document type."""
    _prolog_is_over(text.encode("utf-8", "surrogatepass"))


def _codec(stream: BinaryIO, name: str | None, *, is_text: bool) -> str:
    """By the mark, else as the input says, else as the document says; the stream then stands behind the mark."""
    head = stream.read(_HEAD_BYTES)
    stream.seek(0)
    given = encoding_of(stream, name or "UTF-8", is_text=is_text, code=ENCODING_ERROR)
    if stream.tell() or is_text or name is not None:
        return given
    for beginning, codec in _BY_ZEROS.items():
        if head.startswith(beginning):
            return codec
    found = _DECLARATION.match(head)
    if found is None:
        return "utf-8"
    declared = found[1].decode("latin-1")
    try:
        info = codecs.lookup(declared)
    except (LookupError, ValueError):
        info = None
    if info is None or not info._is_text_encoding:  # noqa: SLF001 - others are such as base64
        raise AgentError.permanent(
            ENCODING_ERROR, f"the document declares the encoding {declared!r}, which is unknown: give `encoding`"
        )
    # The declaration was read byte by byte, so these are wrong: .NET declares UTF-16 in what is then stored as UTF-8.
    return "utf-8" if info.name.startswith(("utf-16", "utf-32", "utf-8")) else info.name


def _raw(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


def _decoded(stream: BinaryIO, codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)()
    position, is_over = stream.tell(), False
    while not is_over:
        piece = stream.read(PIECE_BYTES)
        is_over = not piece
        try:
            text = decoder.decode(piece, final=is_over).encode()
        except UnicodeError as error:
            at = position + getattr(error, "start", 0)
            raise AgentError.permanent(
                ENCODING_ERROR,
                f"the bytes near {at} are not {codec}: give the right `encoding`",
                attributes={"encoding": codec, "byte": at},
            ) from None
        position += len(piece)
        if text:
            yield text


def _prolog_is_over(text: bytes) -> bool:
    """Whether the first element begins; raises `AgentError` at a document type."""
    at = 3 if text.startswith(codecs.BOM_UTF8) else 0
    while True:
        while text[at : at + 1].isspace():
            at += 1
        if text.startswith(b"<!DOCTYPE", at):
            raise AgentError.permanent(
                DOCTYPE_REFUSED, "the document has a DOCTYPE, which could define entities: send it without one"
            )
        if text.startswith(b"<?", at):
            end = text.find(b"?>", at + 2)
        elif text.startswith(b"<!--", at):
            end = text.find(b"-->", at + 4)
        else:
            # A piece may end within the word.
            return not b"<!DOCTYPE".startswith(text[at : at + 9]) and not b"<!--".startswith(text[at : at + 4])
        if end < 0:
            return False
        at = end + 2 + (text[end : end + 1] == b"-")
