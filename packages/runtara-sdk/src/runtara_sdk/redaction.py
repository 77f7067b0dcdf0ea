"""Takes instance tokens and API keys out of what is stored or shown: errors, events, output of programs, logs."""

from __future__ import annotations

import re

_SECRETS = r"rti1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{20,}|rtk_[0-9a-f]+_[A-Za-z0-9_-]{20,}"
_TEXT = re.compile(_SECRETS)
_BYTES = re.compile(_SECRETS.encode())

REPLACEMENT = "[redacted]"


def redact_text(text: str) -> str:
    """The text with every token and key replaced."""
    return _TEXT.sub(REPLACEMENT, text) if "rti1." in text or "rtk_" in text else text


def redact_bytes(data: bytes) -> bytes:
    """The bytes with every token and key replaced; JSON stays JSON."""
    return _BYTES.sub(REPLACEMENT.encode(), data) if b"rti1." in data or b"rtk_" in data else data
