"""Encoding of request bodies."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runtara_sdk.agents import AgentError
from runtara_sdk.written_decimal import dump_json

from runtara_agents_http.models import HttpRequestInput, MultipartPart

_UNQUOTABLE = re.compile(r'[\x00-\x1f\x7f"]')


@dataclass(frozen=True, slots=True)
class RequestBody:
    """Bytes to send and the media type to announce unless the step sets one."""

    content: bytes = field(repr=False)
    content_type: str


def encode_body(request: HttpRequestInput) -> RequestBody | None:
    """The body of a request, or None when it has none.

    Raises:
        AgentError: permanent HTTP_INVALID_BODY when body, parts and body type do not fit together.
    """
    if request.body_type == "multipart":
        if request.body not in (None, ""):
            raise invalid_body("a multipart body is given by `multipart`; leave `body` out")
        if not request.multipart:
            raise invalid_body("body_type multipart needs at least one part in `multipart`")
        return _multipart(request.multipart)
    if request.multipart:
        raise invalid_body("`multipart` is given, but body_type is not: set body_type to multipart")
    if request.body is None or request.body == "":
        return None
    match request.body_type:
        case "text":
            if not isinstance(request.body, str):
                raise invalid_body("body_type text needs a string; use json for other values")
            return RequestBody(_utf8(request.body), "text/plain; charset=utf-8")
        case "binary":
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


def _multipart(parts: Sequence[MultipartPart]) -> RequestBody:
    boundary = secrets.token_hex(16)
    chunks = []
    for number, part in enumerate(parts):
        place = f"multipart.{number}"
        payload = _payload(part, place)
        disposition = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
        if part.filename is not None:
            disposition += f'; filename="{_quoted(part.filename)}"'
        headers = [disposition]
        media_type = part.content_type
        if media_type is None and part.content is not None:
            media_type = "application/octet-stream"
        if media_type is not None:
            if _UNQUOTABLE.search(media_type.replace('"', "")):
                raise invalid_body(f"{place}: contentType contains control characters")
            headers.append(f"Content-Type: {media_type}")
        chunks.append(_utf8(f"--{boundary}\r\n" + "\r\n".join(headers) + "\r\n\r\n") + payload + b"\r\n")
    content = b"".join(chunks) + f"--{boundary}--\r\n".encode()
    return RequestBody(content, f"multipart/form-data; boundary={boundary}")


def _payload(part: MultipartPart, place: str) -> bytes:
    if part.value is not None and part.content is None:
        return _utf8(part.value)
    if part.content is not None and part.value is None:
        return _base64(part.content, f"{place}.content")
    raise invalid_body(f"{place}: give either value or content")


def _quoted(name: str) -> str:
    return _UNQUOTABLE.sub(lambda found: f"%{ord(found[0]):02X}", name)
