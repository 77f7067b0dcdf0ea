"""Python expressions as data, and their text.

Scenario text enters generated code through `Literal` alone, which writes it with `repr`. Everything else that can be
put into an expression is an identifier that the compiler chose, checked again here.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from runtara_sdk.written_decimal import WrittenDecimal, dump_json

LINE_WIDTH = 100
_INDENT = "    "
_DEEPEST_LITERAL = 40  # Python's own parser gives up at 200 open brackets


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier of the generated module."""

    identifier: str

    def __post_init__(self) -> None:
        if not is_plain_identifier(self.identifier):
            raise ValueError(f"{self.identifier!r} is not an identifier")


@dataclass(frozen=True, slots=True)
class Names:
    """A tuple of identifiers."""

    items: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A dict with text keys."""

    items: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """A tuple of texts."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A tuple or a list of expressions."""

    items: tuple[Expression, ...]
    brackets: str = "()"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a name that the module imports or defines."""

    function: Name
    arguments: tuple[Expression, ...] = ()
    keywords: tuple[tuple[Name, Expression], ...] = ()


Expression: TypeAlias = Literal | Name | Names | Table | Texts | Items | Call


def is_plain_identifier(text: str) -> bool:
    """Whether `text` is an ASCII identifier and no keyword."""
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)


def call(function: str, *arguments: Expression, **keywords: Expression) -> Call:
    """A call; the names of `keywords` are those of the run-time library."""
    named = tuple((Name(name), value) for name, value in keywords.items())
    return Call(Name(function), arguments, named)


def quote(text: str) -> str:
    """The literal of a text, in double quotes where `repr` needs no escape for that."""
    literal = repr(text)
    # With neither kind of quote inside, the delimiters can be exchanged without touching what lies between.
    return f'"{literal[1:-1]}"' if "'" not in text and '"' not in text else literal


def render(expression: Expression, *, indent: int = 0, before: int = 0) -> str:
    """The text of an expression that starts at column `before` of a line indented `indent` levels.

    On one line where that fits, else one item a line.
    """
    flat = _flat(expression)
    if len(flat) + len(_INDENT) * indent + before + 1 <= LINE_WIDTH and "\n" not in flat:
        return flat
    match expression:
        case Call(function, arguments, keywords):
            items = [("", argument) for argument in arguments]
            items += [(f"{name.identifier}=", value) for name, value in keywords]
            return _broken(f"{function.identifier}(", items, ")", indent)
        case Table(entries):
            return _broken("{", [(f"{quote(key)}: ", value) for key, value in entries], "}", indent)
        case Names(names):
            return _broken("(", [("", name) for name in names], ")", indent)
        case Texts(texts):
            return _broken("(", [("", Literal(text)) for text in texts], ")", indent)
        case Items(entries, brackets):
            return _broken(brackets[0], [("", entry) for entry in entries], brackets[1], indent)
        case Literal(value) if isinstance(value, dict) and value and _depth(value) <= _DEEPEST_LITERAL:
            return _broken("{", [(f"{quote(key)}: ", Literal(item)) for key, item in value.items()], "}", indent)
        case Literal(value) if isinstance(value, list | tuple) and value and _depth(value) <= _DEEPEST_LITERAL:
            return _broken("[", [("", Literal(item)) for item in value], "]", indent)
    return flat


def _broken(opening: str, items: Iterable[tuple[str, Expression]], closing: str, indent: int) -> str:
    margin = _INDENT * (indent + 1)
    lines = [f"{margin}{label}{render(value, indent=indent + 1, before=len(label))}," for label, value in items]
    if not lines:
        return opening + closing
    return "\n".join([opening, *lines, _INDENT * indent + closing])


def _flat(expression: Expression) -> str:
    match expression:
        case Name(identifier):
            return identifier
        case Names(names):
            return _flat_tuple([name.identifier for name in names])
        case Texts(texts):
            return _flat_tuple([quote(text) for text in texts])
        case Items(entries, brackets):
            parts = [_flat(entry) for entry in entries]
            return _flat_tuple(parts) if brackets == "()" else f"[{', '.join(parts)}]"
        case Table(entries):
            return "{" + ", ".join(f"{quote(key)}: {_flat(value)}" for key, value in entries) + "}"
        case Call(function, arguments, keywords):
            parts = [_flat(argument) for argument in arguments]
            parts += [f"{name.identifier}={_flat(value)}" for name, value in keywords]
            return f"{function.identifier}({', '.join(parts)})"
        case Literal(value):
            return _flat_literal(value)


def _flat_tuple(parts: Sequence[str]) -> str:
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _flat_literal(value: Any) -> str:
    match value:
        case None | bool() | int():
            return repr(value)
        case WrittenDecimal():
            return f"WrittenDecimal({quote(value.text)})"
        case float() if math.isfinite(value):
            return repr(value)
        case str():
            return quote(value)
        case dict() | list() | tuple() if _depth(value) > _DEEPEST_LITERAL:
            return f"decode_json({quote(dump_json(value, ensure_ascii=False))})"
        case dict():
            return "{" + ", ".join(f"{quote(key)}: {_flat_literal(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_flat_literal(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} is not JSON")


def _depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, dict | list | tuple):
            deepest = max(deepest, depth)
            stack.extend((inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item))
    return deepest


def names_in(expression: Expression) -> set[str]:
    """The identifiers that an expression uses."""
    match expression:
        case Name(identifier):
            return {identifier}
        case Names(names):
            return {name.identifier for name in names}
        case Items(entries):
            return set().union(*map(names_in, entries))
        case Table(entries):
            return set().union(*(names_in(value) for _, value in entries))
        case Call(function, arguments, keywords):
            inner = [*arguments, *(value for _, value in keywords)]
            return {function.identifier}.union(*(names_in(value) for value in inner))
        case Literal(value) if _depth(value) > _DEEPEST_LITERAL:
            return {"decode_json"}
        case Literal(value) if _holds_decimal(value):
            return {"WrittenDecimal"}
    return set()


def _holds_decimal(value: Any) -> bool:
    if isinstance(value, dict | list | tuple):
        return any(map(_holds_decimal, value.values() if isinstance(value, dict) else value))
    return isinstance(value, WrittenDecimal)
