"""JSON as it is stored: compact, UTF-8, without the numbers that JSON does not have."""

from __future__ import annotations

import json
import marshal
from typing import Any

from runtara_sdk.written_decimal import WrittenDecimal, dump_json, read_decimal


def encode_json(value: Any) -> bytes:
    """The JSON of `value`; raises `ValueError` or `TypeError` for what has none (NaN, objects that are no JSON)."""
    try:
        if not WrittenDecimal.is_used:
            return _ENCODER.encode(value).encode()
        return dump_json(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:  # half a surrogate pair: only its escape can be written
        return dump_json(value, separators=(",", ":"), allow_nan=False).encode()


def decode_json(text: bytes | str) -> Any:
    """The value of a JSON text; raises `ValueError` when it is none."""
    try:
        if isinstance(text, bytes):
            # Zeros and marks at the beginning tell of other encodings than UTF-8.
            is_plain = text[:1] in _PLAIN_BEGINNINGS and b"\0" not in text[:4]
            text = text.decode("utf-8" if is_plain else json.detect_encoding(text), "surrogatepass")
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def copy_json(value: Any) -> Any:
    """A copy of a JSON value that shares nothing with it; raises `ValueError` or `TypeError` for what is none."""
    try:
        # What JSON values are made of, at the speed of C; all else, written decimals too, goes the way of its text.
        return marshal.loads(marshal.dumps(value))  # noqa: S302 - of the line itself
    except ValueError:
        return decode_json(encode_json(value))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_PLAIN_BEGINNINGS = frozenset(bytes([character]) for character in b'{["-0123456789tfn ')
# Made once: this is done several times for each step.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=read_decimal)
