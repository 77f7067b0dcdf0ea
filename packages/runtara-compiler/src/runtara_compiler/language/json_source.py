"""From the text of a scenario to plain JSON values, within bounds and without loss."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from runtara_sdk.written_decimal import dump_json, read_decimal

from runtara_compiler.language.diagnostics import Diagnostic, ScenarioError, diagnostic
from runtara_compiler.language.paths import Segment, format_path

MAXIMUM_SOURCE_BYTES = 10 * 1024 * 1024
MAXIMUM_NESTING = 200
MAXIMUM_REPORTED = 50
MAXIMUM_DIGITS = 1000

Link = tuple["Link", Segment] | None
"""A place in the document, from the inside out; cheaper to carry along than a path."""


class _RepeatedKeys(dict[str, Any]):
    """An object whose text has keys more than once."""

    keys_repeated: list[str]


def parse_json(source: bytes | str | dict[str, Any], *, origin: str) -> dict[str, Any]:
    """Parse the source of a scenario; a dict is copied by way of its JSON text.

    Raises:
        ScenarioError: not one JSON object (E090), a key given twice (E091), or too large or too deep (E092).
    """
    text = _decode(source, origin)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_build_object,
            parse_constant=_refuse_constant,
            parse_float=read_decimal,
            parse_int=_parse_integer,
        )
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        _refuse(origin, "E090", f"malformed JSON at line {error.lineno}, column {error.colno}: {reason}")
    except RecursionError:
        _refuse(origin, "E092", f"the document is nested deeper than {MAXIMUM_NESTING} levels")
    except ValueError as error:
        _refuse(origin, "E090", f"malformed JSON: {error}")
    if not isinstance(document, dict):
        _refuse(origin, "E090", f"a scenario is a JSON object, found {json_type(document)}")
    if found := _inspect(document):
        raise ScenarioError(origin, found)
    return document


def json_type(value: Any) -> str:
    """The name of a JSON value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


def describe(value: Any) -> str:
    """A JSON value for a message: its type, and its text as far as it is short."""
    kind = json_type(value)
    if value is None or isinstance(value, dict | list | tuple):
        return kind
    text = dump_json(value, ensure_ascii=False)
    return f"{kind} {text if len(text) <= 60 else text[:59] + '…'}"


def quoted(name: str) -> str:
    """A name from a document for a message, in quotes and cut when it is long."""
    return repr(name if len(name) <= 60 else name[:59] + "…")


def _decode(source: bytes | str | dict[str, Any], origin: str) -> str:
    if isinstance(source, dict):
        try:
            source = dump_json(source, allow_nan=False)
        except RecursionError:
            _refuse(origin, "E092", f"the document is nested deeper than {MAXIMUM_NESTING} levels")
        except (TypeError, ValueError) as error:
            _refuse(origin, "E090", f"the document holds what JSON cannot: {error}")
    size = len(source)
    if isinstance(source, str) and size <= MAXIMUM_SOURCE_BYTES and not source.isascii():
        size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAXIMUM_SOURCE_BYTES:
        limit = MAXIMUM_SOURCE_BYTES // (1024 * 1024)
        _refuse(origin, "E092", f"the document has {size} bytes, at most {limit} MiB are read")
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(origin, "E090", f"the document is not UTF-8: byte {error.start} is {source[error.start]:#04x}")


def _refuse(origin: str, code: str, message: str) -> NoReturn:
    raise ScenarioError(origin, [diagnostic(code, message)]) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _parse_integer(text: str) -> int:
    if len(text) > MAXIMUM_DIGITS:
        raise ValueError(f"the integer {text[:20]}… has more than {MAXIMUM_DIGITS} digits")
    return int(text)


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) == len(pairs):
        return built
    seen: set[str] = set()
    repeated = _RepeatedKeys(built)
    repeated.keys_repeated = []
    for key, _ in pairs:
        if key in seen and key not in repeated.keys_repeated:
            repeated.keys_repeated.append(key)
        seen.add(key)
    return repeated


def _inspect(document: dict[str, Any]) -> list[Diagnostic]:
    """What JSON's grammar lets pass and a scenario must not hold: repeated keys, half characters, great depth."""
    found: list[Diagnostic] = []
    stack: list[tuple[Any, Link, int]] = [(document, None, 1)]
    while stack and len(found) < MAXIMUM_REPORTED:
        value, link, depth = stack.pop()
        if isinstance(value, str):
            if not _is_text(value):
                place = _path(link)
                found.append(diagnostic("E090", f"{place}: a text with half a surrogate pair", path=place))
        elif isinstance(value, dict | list):
            if depth > MAXIMUM_NESTING:
                message = f"the document is nested deeper than {MAXIMUM_NESTING} levels"
                return [*found, diagnostic("E092", message)]
            if isinstance(value, dict):
                found.extend(_inspect_keys(value, link))
            items = value.items() if isinstance(value, dict) else enumerate(value)
            stack.extend((item, (link, key), depth + 1) for key, item in items if isinstance(item, str | dict | list))
    return found


def _inspect_keys(value: dict[str, Any], link: Link) -> list[Diagnostic]:
    place = _path(link) if isinstance(value, _RepeatedKeys) else ""
    found = [
        diagnostic("E091", f"the key {key!r} is given twice in {place or 'the document'}", path=place or None)
        for key in (value.keys_repeated if isinstance(value, _RepeatedKeys) else ())
    ]
    if not all(map(_is_text, value)):
        place = _path(link)
        found.append(diagnostic("E090", f"{place or 'the document'}: a key with half a surrogate pair"))
    return found


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _path(link: Link) -> str:
    segments: list[Segment] = []
    while link is not None:
        link, segment = link
        segments.append(segment)
    segments.reverse()
    return format_path(segments)
