"""Rendering templates with Jinja2, and finding what they read without rendering them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.filters import FILTERS, do_indent
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import SandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace

from runtara_sdk.written_decimal import dump_json

MAXIMUM_OUTPUT_CHARACTERS = 10_000_000
MAXIMUM_TURNS = 200_000
"""Turns of all loops of one rendering."""
MAXIMUM_REPETITION = 1_000_000
"""Length of what one `*` makes."""
MAXIMUM_WIDTH = 1_000
"""Width, precision or indent that one format asks for."""

_FILTERS = (
    *("abs", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby"),
    *("int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr"),
    *("replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "sum", "title", "trim"),
    *("unique", "upper", "urlencode"),
)
_BOUNDED, _PRINTED = "__bounded", "__printed"

_WIDTHS = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(?:\*|\d{1,9})?(?:\.(?:\*|\d{1,9}))?")

_turns: ContextVar[list[int] | None] = ContextVar("runtara_template_turns", default=None)


class TemplateProblem(Exception):  # noqa: N818 - one reason among others why a template gives no text
    """A template that is malformed or cannot be rendered; the message is one line.

    Attributes:
        line: the line of the template, from 1 on; None when it is not known.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(" ".join(reason.split()))
        self.line = line


def render(text: str, roots: Mapping[str, Any]) -> str:
    """The text of a template over the roots; raises `TemplateProblem`."""
    token = _turns.set([0])
    try:
        pieces: list[str] = []
        length = 0
        for piece in _compiled(text).generate(roots):
            pieces.append(piece)
            length += len(piece)
            if length > MAXIMUM_OUTPUT_CHARACTERS:
                raise TemplateProblem(f"the text is longer than {MAXIMUM_OUTPUT_CHARACTERS} characters")
        return "".join(pieces)
    except TemplateProblem:
        raise
    except TemplateSyntaxError as error:
        raise TemplateProblem(error.message or "malformed", error.lineno) from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise TemplateProblem(str(error) or type(error).__name__) from error
    finally:
        _turns.reset(token)


def check_syntax(text: str) -> None:
    """Raise `TemplateProblem` when the text is no template."""
    try:
        _compiled(text)
    except (TemplateSyntaxError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise TemplateProblem(getattr(error, "message", None) or str(error) or "malformed", line) from error


def paths_read(text: str) -> list[tuple[str | int, ...]]:
    """The paths that placeholders read from roots, as far as they are plain; raises `TemplateProblem`.

    A path ends where something else than a name, a quoted key or a position follows. Names that the template itself
    sets (loop variables, `set`) are none.
    """
    check_syntax(text)
    tree = _environment()._parse_plain(text)  # noqa: SLF001 - the environment of this module
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
    if tree.find(nodes.For) is not None:
        own.add("loop")  # inside a loop it is the loop's own
    found: dict[tuple[str | int, ...], None] = {}
    for node in _outermost(tree):
        path = _path(node)
        if path is not None and path[0] not in own and path[0] not in _environment().globals:
            found.setdefault(path)
    return list(found)


class _Environment(SandboxedEnvironment):
    """A sandbox in which data has members and nothing has attributes."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def _parse_plain(self, source: str) -> nodes.Template:
        return super()._parse(source, None, None)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _BOUNDED, [], [], None, None, lineno=loop.lineno)
        for joined in tree.find_all(nodes.Concat):
            joined.nodes = [
                nodes.Filter(node, _PRINTED, [], [], None, None, lineno=node.lineno) for node in joined.nodes
            ]
        return tree

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext | Namespace):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        if isinstance(obj, list | tuple | str) and isinstance(argument, int | slice) and not isinstance(argument, bool):
            try:
                return obj[argument]
            except IndexError:
                return self.undefined(obj=obj, name=str(argument))
        if isinstance(obj, Undefined):
            raise TemplateProblem(f"{_described(obj)} is missing, so it has no member {argument!r}")
        return self.undefined(obj=obj, name=str(argument))

    def is_safe_callable(self, obj: Any) -> bool:
        return isinstance(obj, Macro | LoopContext) or obj in self.globals.values()

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(right, int | float) and abs(right) > 64:
            raise TemplateProblem(f"the exponent {right} is too large")
        if operator == "%" and isinstance(left, str):
            _check_widths(left)
            return super().call_binop(context, operator, left, right)
        sizes = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
        if sizes:
            times = max((side for side in (left, right) if isinstance(side, int)), default=0)
            if sizes[0] * times > MAXIMUM_REPETITION:
                raise TemplateProblem(f"a repetition is longer than {MAXIMUM_REPETITION}")
        return super().call_binop(context, operator, left, right)


@lru_cache(maxsize=1)
def _environment() -> _Environment:
    environment = _Environment(finalize=printed, autoescape=False, cache_size=0)
    environment.filters = {name: FILTERS[name] for name in _FILTERS}
    environment.filters |= {
        "tojson": _to_json,
        "string": printed,
        "join": _join,
        "bool": bool,
        "indent": _indent,
        "split": _split,
        "lines": lambda text: str(text).splitlines(),
        _BOUNDED: _bounded,
        _PRINTED: printed,
    }
    environment.tests = dict(TESTS)
    environment.globals = {name: environment.globals[name] for name in ("range", "dict", "namespace")}
    return environment


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Any:
    return _environment().from_string(text)


def printed(value: Any) -> str:
    """A value as templates print it."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return "none"
    if isinstance(value, Undefined):
        return ""
    return _printed_inside(value)


def _printed_inside(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "none" if value is None else str(value).lower()
    if isinstance(value, str):
        return dump_json(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_printed_inside(key)}: {_printed_inside(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_printed_inside, value)) + "]"
    return str(value)


def _described(missing: Undefined) -> str:
    """What is missing, in the words of a scenario's author."""
    return repr(missing._undefined_name)  # noqa: SLF001 - the documented place of the name


def _bounded(items: Any) -> Any:
    """The items of a loop, each counted."""
    if isinstance(items, Undefined):
        return items
    return _Counted(items if isinstance(items, list | tuple | dict | str) else list(items))


class _Counted(list[Any]):
    """A list that counts what is taken from it by a loop."""

    def __iter__(self) -> Iterator[Any]:
        turns = _turns.get()
        for item in super().__iter__():
            if turns is not None:
                turns[0] += 1
                if turns[0] > MAXIMUM_TURNS:
                    raise TemplateProblem(f"its loops make more than {MAXIMUM_TURNS} turns")
            yield item


def _to_json(value: Any, indent: int | None = None) -> str:
    separators = (",", ":") if indent is None else None
    return dump_json(value, ensure_ascii=False, indent=indent, separators=separators)


def _join(value: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    items = value if attribute is None else [item.get(attribute) for item in value]
    return separator.join(map(printed, items))


def _check_widths(pattern: str) -> None:
    """Refuse a `%` format that asks for more characters than any text needs."""
    for conversion in _WIDTHS.findall(pattern):
        if "*" in conversion or any(int(width) > MAXIMUM_WIDTH for width in re.findall(r"\d+", conversion)):
            raise TemplateProblem(f"the format {conversion[:20]!r} is wider than {MAXIMUM_WIDTH} characters")


def _indent(text: str, width: int | str = 4, *flags: bool, **named: bool) -> str:
    if isinstance(width, int) and width > MAXIMUM_WIDTH:
        raise TemplateProblem(f"the indent {width} is wider than {MAXIMUM_WIDTH} characters")
    return do_indent(text, width, *flags, **named)


def _split(text: str, separator: str | None = None, most: int = -1) -> list[str]:
    return str(text).split(separator, most)


def _outermost(node: nodes.Node) -> Iterator[nodes.Expr]:
    """The longest chains of members in a tree."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Getattr | nodes.Getitem | nodes.Name) and _path(child) is not None:
            yield child
        else:
            yield from _outermost(child)


def _path(node: nodes.Node) -> tuple[str | int, ...] | None:
    if isinstance(node, nodes.Name):
        return (node.name,) if node.ctx == "load" else None
    if isinstance(node, nodes.Getattr):
        inner = _path(node.node)
        return None if inner is None else (*inner, node.attr)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        inner = _path(node.node)
        key = node.arg.value
        return None if inner is None or not isinstance(key, str | int) else (*inner, key)
    return None
