"""Encoding of request bodies."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
import urllib.parse
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.files import is_reference, open_file
from runtara_sdk.written_decimal import dump_json

from runtara_agents_http.models import HttpRequestInput, MultipartPart
from runtara_agents_http.target import scalar_text

_PIECE_BYTES = 256 * 1024
_UNQUOTABLE = re.compile(r'[\x00-\x1f\x7f"]')


@dataclass(frozen=True, slots=True)
class RequestBody:
    """Bytes to send and the media type to announce unless the step sets one."""

    content: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class StreamedContent:
    """A body that is sent piece by piece, instead of one in memory.

    Attributes:
        chunks: begins the body anew at each call: a redirect or a refused credential may need it a second time.
        length: bytes in all; None sends it in chunks of unknown number, which some servers refuse.
        content_type: for the Content-Type header unless the step sets one.
    """

    chunks: Callable[[], AsyncIterator[bytes]]
    length: int | None
    content_type: str = "application/octet-stream"

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()


def encode_body(request: HttpRequestInput, context: CapabilityContext) -> RequestBody | StreamedContent | None:
    """The body of a request, or None when it has none; files of the workspace are read while they are sent.

    Raises:
        AgentError: permanent HTTP_INVALID_BODY when body, parts and body type do not fit together; one of
            `FILE_ERRORS` for a file of the workspace.
    """
    if request.body_type == "multipart":
        if request.body not in (None, ""):
            raise invalid_body("a multipart body is given by `multipart`; leave `body` out")
        if not request.multipart:
            raise invalid_body("body_type multipart needs at least one part in `multipart`")
        return _multipart(request.multipart, context)
    if request.multipart:
        raise invalid_body("`multipart` is given, but body_type is not: set body_type to multipart")
    if request.body is None or request.body == "":
        return None
    match request.body_type:
        case "text":
            if not isinstance(request.body, str):
                raise invalid_body("body_type text needs a string; use json for other values")
            return RequestBody(_utf8(request.body), "text/plain; charset=utf-8")
        case "form":
            return RequestBody(_form(request.body), "application/x-www-form-urlencoded")
        case "binary":
            if is_reference(request.body):
                return _stored_file(request.body, context)
            return _binary(request.body)
        case _:
            return RequestBody(_json(request.body), "application/json")


def invalid_body(reason: str) -> AgentError:
    """The error for a body that cannot be sent."""
    return AgentError.permanent("HTTP_INVALID_BODY", reason)


def _json(body: Any) -> bytes:
    if isinstance(body, str):
        return _utf8(body)
    try:
        return dump_json(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError):
        raise invalid_body("the body has no JSON form") from None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise invalid_body("the text has no UTF-8 form") from None


def _binary(body: Any) -> RequestBody:
    if isinstance(body, str):
        return RequestBody(_base64(body, "body"), "application/octet-stream")
    if isinstance(body, list):
        if not all(type(item) is int and 0 <= item <= 255 for item in body):
            raise invalid_body("an array body of type binary must hold integers from 0 to 255")
        return RequestBody(bytes(body), "application/octet-stream")
    if isinstance(body, dict) and isinstance(body.get("content"), str):
        media_type = body.get("mimeType") or "application/octet-stream"
        if not isinstance(media_type, str):
            raise invalid_body("mimeType must be a string")
        return RequestBody(_base64(body["content"], "body.content"), media_type)
    raise invalid_body("body_type binary needs base64 text, an array of bytes, or {content, filename?, mimeType?}")


def _base64(text: str, place: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_body(f"{place} is not valid base64") from None


def _form(body: Any) -> bytes:
    if isinstance(body, str):
        return _utf8(body)
    if not isinstance(body, Mapping):
        raise invalid_body("body_type form needs an object, or a string that is encoded already")
    pairs = []
    for name, value in body.items():
        values = value if isinstance(value, list) else [value]
        for item in values:
            if isinstance(item, Mapping | list):
                raise invalid_body(
                    f"body.{name[:100]} of a form must be a text, a number, a boolean, or a list of them"
                )
            pairs.append((_utf8(str(name)), _utf8("" if item is None else scalar_text(item))))
    return urllib.parse.urlencode(pairs).encode()


def _stored_file(reference: Any, context: CapabilityContext) -> StreamedContent:
    with open_file(reference, context) as file:
        size, media_type = file.size, file.mime_type
    return StreamedContent(
        lambda: _pieces([_File(reference, size)], context), size, media_type or "application/octet-stream"
    )


@dataclass(frozen=True, slots=True)
class _File:
    """A part of a body that lies in the workspace."""

    reference: Any
    size: int


async def _pieces(segments: Sequence[bytes | _File], context: CapabilityContext) -> AsyncIterator[bytes]:
    for segment in segments:
        if isinstance(segment, bytes):
            yield segment
            continue
        remaining = segment.size
        with open_file(segment.reference, context) as file:
            while remaining and (piece := await asyncio.to_thread(file.stream.read, min(_PIECE_BYTES, remaining))):
                remaining -= len(piece)
                yield piece
        if remaining:
            raise invalid_body("a file of the workspace became shorter while it was sent")


def _multipart(parts: Sequence[MultipartPart], context: CapabilityContext) -> RequestBody | StreamedContent:
    boundary = secrets.token_hex(16)
    segments: list[bytes | _File] = []
    for number, part in enumerate(parts):
        place = f"multipart.{number}"
        payload = _payload(part, place, context)
        disposition = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
        if payload.filename is not None:
            disposition += f'; filename="{_quoted(payload.filename)}"'
        headers = [disposition]
        if payload.media_type is not None:
            if _UNQUOTABLE.search(payload.media_type.replace('"', "")):
                raise invalid_body(f"{place}: contentType contains control characters")
            headers.append(f"Content-Type: {payload.media_type}")
        segments += [
            _utf8(f"--{boundary}\r\n" + "\r\n".join(headers) + "\r\n\r\n"),
            payload.content,
            b"\r\n",
        ]
    segments.append(f"--{boundary}--\r\n".encode())
    media_type = f"multipart/form-data; boundary={boundary}"
    in_memory = [segment for segment in segments if isinstance(segment, bytes)]
    if len(in_memory) == len(segments):
        return RequestBody(b"".join(in_memory), media_type)
    length = sum(len(segment) if isinstance(segment, bytes) else segment.size for segment in segments)
    return StreamedContent(lambda: _pieces(segments, context), length, media_type)


@dataclass(frozen=True, slots=True)
class _Payload:
    content: bytes | _File
    filename: str | None
    media_type: str | None


def _payload(part: MultipartPart, place: str, context: CapabilityContext) -> _Payload:
    if sum(given is not None for given in (part.value, part.content, part.file)) != 1:
        raise invalid_body(f"{place}: give one of value, content and file")
    if part.value is not None:
        return _Payload(_utf8(part.value), part.filename, part.content_type)
    if part.content is not None:
        media_type = part.content_type or "application/octet-stream"
        return _Payload(_base64(part.content, f"{place}.content"), part.filename, media_type)
    with open_file(part.file, context) as file:
        content = _File(part.file, file.size) if is_reference(part.file) else file.stream.read()
        media_type = part.content_type or file.mime_type or "application/octet-stream"
        return _Payload(content, part.filename or file.filename, media_type)


def _quoted(name: str) -> str:
    return _UNQUOTABLE.sub(lambda found: f"%{ord(found[0]):02X}", name)
