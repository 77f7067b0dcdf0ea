"""From values to the text of XML, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, Field

from runtara_agents_csv_xml.xml_format.names import Names, declarations
from runtara_agents_csv_xml.xml_format.texts import UnwritableError, cdata, escaped, is_plain, quoted, scalar_text
from runtara_agents_csv_xml.xml_format.values import CHILDREN_KEY

_DEEPEST = 255
_PIECE_CHARACTERS = 256 * 1024


class MarkupOptions(BaseModel):
    """How values become elements."""

    item_name: str = Field(default="item", description="Name of the elements of an array at the root, or of `data`.")
    attribute_key: str = Field(default="@attributes", min_length=1, description="Key of the attributes.")
    text_key: str = Field(default="@text", min_length=1, description="Key of the text beside attributes and children.")
    cdata: list[str] = Field(
        default_factory=list, description="Names of elements whose text is written as CDATA; `*` for all."
    )
    namespaces: dict[str, str] = Field(
        default_factory=dict,
        description="Namespaces by prefix, declared at the root; the empty prefix is the default one. Names may be "
        "`prefix:name` or `{namespace}name`; attributes `xmlns` and `xmlns:prefix` declare further ones.",
    )
    pretty: bool = Field(default=False, description="Whether elements stand on lines of their own, indented.")


class MarkupError(ValueError):
    """A value that cannot be written.

    Attributes:
        place: keys that lead to it, with dots.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place = place


class Markup:
    """Writes one document; raises `MarkupError`."""

    def __init__(self, options: MarkupOptions) -> None:
        self._options = options
        self._break = "\n" if options.pretty else ""
        self._cdata = frozenset(options.cdata)
        self._place: list[str] = []
        self._parts: list[str] = []
        self._characters = 0
        try:
            self._names = Names(options.namespaces)
        except UnwritableError as error:
            raise MarkupError("namespaces", str(error)) from None

    def document(self, name: str, value: Any, records: Iterable[Any] | None = None) -> Iterator[str]:
        """The root, with records as its last children."""
        options = self._options
        try:
            if records is None:
                yield from self._element(name, value, 0, declarations(options.namespaces))
            else:
                yield from self._streamed(name, value, records)
        except UnwritableError as error:
            raise MarkupError(".".join(self._place), str(error)) from None
        self._put(self._break)
        yield self._taken()

    def _streamed(self, name: str, value: Any, records: Iterable[Any]) -> Iterator[str]:
        self._place.append(name)
        start, end, text, children, names = self._opened(name, value, declarations(self._options.namespaces))
        if text or any(isinstance(child, str) for child in children):
            raise UnwritableError("it has a text: records stand beside elements only")
        outer, self._names = self._names, names
        self._put(f"{start}>{self._break}")
        for child_name, child in children:
            yield from self._element(child_name, child, 1)
            self._put(self._break)
        for number, record in enumerate(records, 1):
            self._place.append(f"data[{number}]")
            yield from self._element(self._options.item_name, record, 1)
            self._place.pop()
            self._put(self._break)
        self._names = outer
        self._put(end)
        self._place.pop()

    def _element(self, name: str, value: Any, depth: int, declared: str = "") -> Iterator[str]:
        """What is complete of the text; the rest is put aside."""
        self._put_element(name, value, depth, declared)
        if self._characters >= _PIECE_CHARACTERS:
            yield self._taken()

    def _put_element(self, name: str, value: Any, depth: int, declared: str = "", *, indents: bool = True) -> None:
        self._place.append(name)
        if depth >= _DEEPEST:
            raise UnwritableError(f"it is nested deeper than {_DEEPEST} levels")
        start, end, text, children, names = self._opened(name, value, declared)
        indent = "  " * depth if indents and self._break else ""
        written = self._text(name, text)
        if not children:
            self._put(f"{indent}{start}>{written}{end}" if written else f"{indent}{start}/>")
            self._place.pop()
            return
        # Within mixed content a line break would be text.
        indents = indents and not text and not any(isinstance(child, str) for child in children)
        line_break = self._break if indents else ""
        self._put(f"{indent}{start}>{written}{line_break}")
        outer, self._names = self._names, names
        known = names.elements if not self._cdata else {}
        inner = "  " * (depth + 1) if line_break else ""
        for child in children:
            if isinstance(child, str):
                self._put(self._text(name, child))
                continue
            child_name, child_value = child
            # Most are texts that need no care, in elements of names that were written before.
            tag = known.get(child_name) if type(child_value) is str else None
            if tag is not None and is_plain(child_value) and depth < _DEEPEST - 1:
                leaf = f"<{tag}>{child_value}</{tag}>" if child_value else f"<{tag}/>"
                self._put(f"{inner}{leaf}{line_break}")
                continue
            self._put_element(child_name, child_value, depth + 1, indents=indents)
            if line_break:
                self._put(line_break)
        self._names = outer
        self._put(f"{indent if indents else ''}{end}")
        self._place.pop()

    def _opened(self, name: str, value: Any, declared: str) -> tuple[str, str, str, list[Any], Names]:
        """The start tag without its last bracket, the end tag, the text, the children, and the names within."""
        attributes, text, children = self._content(value)
        names = self._names
        if name.startswith("{") or any(key.startswith(("{", "xmlns")) for key in attributes):
            own = {key[6:]: scalar_text(each) for key, each in attributes.items() if _declares(key)}
            attributes = {key: each for key, each in attributes.items() if not _declares(key)}
            if own:
                names = names.within(own)
            added = names.missing([(name, False), *((key, True) for key in attributes)])
            if added:
                names = names.within(added)
            if own or added:
                kept = self._options.namespaces if declared else {}
                declared = declarations({**kept, **own, **added})
        tag = names.write(name, is_attribute=False)
        written = self._attributes(attributes, names) if attributes else ""
        return f"<{tag}{declared}{written}", f"</{tag}>", text, children, names

    def _attributes(self, attributes: dict[str, Any], names: Names) -> str:
        written: list[str] = []
        seen: set[tuple[str, str]] = set()
        for key, value in attributes.items():
            self._place += [self._options.attribute_key, key]
            if isinstance(value, dict | list):
                raise UnwritableError("an attribute is a text, a number or a boolean")
            name = names.write(key, is_attribute=True)
            if ":" in name:
                expanded = names.expanded(name)
                if expanded in seen:
                    raise UnwritableError("the element has that attribute already, by another prefix")
                seen.add(expanded)
            written.append(f" {name}={quoted(scalar_text(value))}")
            del self._place[-2:]
        return "".join(written)

    def _content(self, value: Any) -> tuple[dict[str, Any], str, list[Any]]:
        """Attributes, text and children of an element; a child is a text, or a name with a value."""
        options = self._options
        if not isinstance(value, dict):
            if isinstance(value, list):
                return {}, "", [(options.item_name, item) for item in value]
            return {}, scalar_text(value), []
        attributes: dict[str, Any] = {}
        text = ""
        children: list[Any] = []
        for key, item in value.items():
            if key == options.attribute_key and isinstance(item, dict):
                attributes = item
            elif key == options.text_key:
                if isinstance(item, dict | list):
                    self._place.append(key)
                    raise UnwritableError("it is a text, a number or a boolean")
                text = scalar_text(item)
            elif key == CHILDREN_KEY and isinstance(item, list):
                for child in item:
                    children += self._ordered_child(child)
            elif isinstance(item, list):
                children += [(key, each) for each in item]
            else:
                children.append((key, item))
        return attributes, text, children

    def _ordered_child(self, child: Any) -> list[Any]:
        if isinstance(child, dict):
            return [(name, each) for name, value in child.items() for each in _several(value)]
        if isinstance(child, list):
            self._place.append(CHILDREN_KEY)
            raise UnwritableError("a child is a text or an object")
        return [scalar_text(child)]

    def _text(self, name: str, text: str) -> str:
        if not text:
            return ""
        return cdata(text) if self._cdata and ("*" in self._cdata or name in self._cdata) else escaped(text)

    def _put(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._characters += len(text)

    def _taken(self) -> str:
        text = "".join(self._parts)
        self._parts.clear()
        self._characters = 0
        return text


def _declares(key: str) -> bool:
    return key == "xmlns" or (key.startswith("xmlns:") and key != "xmlns:")


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
