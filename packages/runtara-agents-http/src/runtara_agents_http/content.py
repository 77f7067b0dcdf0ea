"""From the bytes of a body to a JSON value, so that nothing arrives changed in silence.

| What arrives | `auto` gives |
|---|---|
| JSON by its content type, or an object or array by its form | the value |
| text by its content type or charset, or bytes that are UTF-8 | the text |
| anything else | `{content, mimeType}` with base64 content, as a binary body takes it |

Numbers beyond the range of a double stay text, half surrogate pairs become U+FFFD, byte order marks are read.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from runtara_sdk.written_decimal import read_decimal

BodyKind = Literal["json", "text", "binary", "none"]

_TEXT_TYPES = re.compile(r"text/|application/(?:[\w.+-]*\+)?(?:json|xml|javascript|yaml|x-www-form-urlencoded)$")
_JSON_TYPE = re.compile(r"application/(?:[\w.+-]*\+)?json$")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_INTEGER = 4000  # the interpreter refuses to parse much longer digit strings


@dataclass(frozen=True, slots=True)
class Content:
    """A body as a JSON value.

    Attributes:
        kind: how it is to be read.
        intact: whether it can be turned back into the bytes that arrived; false where characters were replaced.
    """

    value: Any
    kind: BodyKind
    intact: bool = True


def read_content(content: bytes, response_type: str, media_type: str, charset: str | None) -> Content:
    """The body as `response_type` asks for it.

    Args:
        content: the bytes, decompressed.
        response_type: `auto`, `json`, `text` or `binary`.
        media_type: of the Content-Type header, in lower case without parameters; empty when there is none.
        charset: of the same header.
    """
    if response_type == "binary":
        return Content(base64.b64encode(content).decode(), "binary")
    if not content:
        return Content("", "none")
    if response_type == "auto":
        return _automatic(content, media_type, charset)
    text, intact = _decoded(content, charset)
    if response_type == "json" and (parsed := _parsed(text)) is not None:
        return Content(parsed.value, "json", intact)
    return Content(text, "text", intact)


def readable_text(content: bytes, charset: str | None) -> str:
    """The text of a body for a message."""
    return _decoded(content, charset)[0]


def is_json_type(media_type: str) -> bool:
    """Whether a media type, in lower case without parameters, is that of JSON."""
    return _JSON_TYPE.match(media_type) is not None


def _automatic(content: bytes, media_type: str, charset: str | None) -> Content:
    text, intact = _decoded(content, charset)
    is_text = bool(_TEXT_TYPES.match(media_type)) or charset is not None or (not media_type and "\0" not in text)
    if not intact or not (is_text or _has_mark(content) or _JSON_TYPE.match(media_type)):
        return Content({"content": base64.b64encode(content).decode(), **_typed(media_type)}, "binary")
    if (_JSON_TYPE.match(media_type) or text.lstrip()[:1] in ("{", "[")) and (parsed := _parsed(text)) is not None:
        return Content(parsed.value, "json")
    return Content(text, "text")


def _typed(media_type: str) -> dict[str, str]:
    return {"mimeType": media_type} if media_type else {}


def _has_mark(content: bytes) -> bool:
    return any(content.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS)


def _decoded(content: bytes, charset: str | None) -> tuple[str, bool]:
    """The text, and whether it is exact."""
    encoding = charset or "utf-8"
    for mark, marked in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            content, encoding = content[len(mark) :], marked
            break
    try:
        if not codecs.lookup(encoding)._is_text_encoding:  # noqa: SLF001 - others are such as base64
            encoding = "utf-8"
    except (LookupError, ValueError):
        encoding = "utf-8"
    try:
        return content.decode(encoding), True
    except (UnicodeDecodeError, ValueError):
        return content.decode(encoding, errors="replace"), False


@dataclass(frozen=True, slots=True)
class _Parsed:
    value: Any


def _parsed(text: str) -> _Parsed | None:
    """The JSON value of a text, or None when it is none."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_number, parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return _Parsed(_without_surrogates(value) if _SURROGATE_ESCAPE.search(text) else value)


def _number(text: str) -> float | str:
    try:
        return read_decimal(text)
    except ValueError:
        return text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INTEGER else text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value
