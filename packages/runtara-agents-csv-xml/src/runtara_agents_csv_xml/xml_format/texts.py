"""Values as texts of XML."""

from __future__ import annotations

import re
from typing import Any

from runtara_sdk.written_decimal import WrittenDecimal, plain_text

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile("[\t\n\u0020-\u0025\u0027-\u003b\u003d\u003f-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""Texts that stand in XML as they are."""


class UnwritableError(ValueError):
    """Something that XML cannot hold; the text says what."""


def scalar_text(value: Any) -> str:
    """The text of a value that is neither an object nor an array."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenDecimal):
        return plain_text(value)
    return repr(value)


def is_plain(text: str) -> bool:
    """Whether a text stands in XML as it is, between tags."""
    return _PLAIN.fullmatch(text) is not None


def escaped(text: str) -> str:
    """A text between tags; raises `UnwritableError`."""
    if is_plain(text):
        return text
    _refuse_forbidden(text)
    # A carriage return that is written as such would be read as a line feed.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def cdata(text: str) -> str:
    """A text as CDATA; raises `UnwritableError`."""
    _refuse_forbidden(text)
    text = text.replace("]]>", "]]]]><![CDATA[>").replace("\r", "]]>&#13;<![CDATA[")
    return f"<![CDATA[{text}]]>"


def quoted(text: str) -> str:
    """The value of an attribute, in quotes; raises `UnwritableError`."""
    text = attribute_text(text)
    if _PLAIN.fullmatch(text) and '"' not in text and "\n" not in text and "\t" not in text:
        return f'"{text}"'
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return f'"{text.replace(chr(10), "&#10;").replace(chr(9), "&#9;").replace(chr(13), "&#13;")}"'


def attribute_text(text: str) -> str:
    """The text itself, when XML can hold it; raises `UnwritableError`."""
    _refuse_forbidden(text)
    return text


def _refuse_forbidden(text: str) -> None:
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise UnwritableError(f"the character U+{ord(found[0]):04X} cannot stand in XML")
