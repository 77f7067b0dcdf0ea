"""Elements as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, KnownError

from runtara_agents_csv_xml.csv_format.values import inferred

if TYPE_CHECKING:
    from lxml import etree

OPTION_INVALID = "XML_INVALID_OPTION"
OPTION_ERROR = KnownError.permanent(OPTION_INVALID, "Two options do not go together, or an option with the document.")

CHILDREN_KEY = "@children"

_MOST_NAMES = 10_000


class ValueOptions(BaseModel):
    """How elements become values."""

    preserve_text: bool = Field(default=True, description="Whether the text of elements is kept.")
    include_attributes: bool = Field(default=True, description="Whether attributes are kept.")
    trim_text: bool = Field(default=True, description="Whether blanks around texts are removed.")
    attribute_key: str = Field(default="@attributes", min_length=1, description="Key of the attributes.")
    text_key: str = Field(default="@text", min_length=1, description="Key of the text beside attributes and children.")
    force_array: list[str] = Field(
        default_factory=list,
        description="Names of elements that are arrays even when there is one of them; `*` for all.",
        examples=[["line"]],
    )
    keep_namespaces: bool = Field(
        default=False, description="Whether names are `{namespace}name`; the bare name otherwise."
    )
    ordered: bool = Field(
        default=False,
        description="Whether children are an array `@children` of {name: value} in their order, texts among them.",
    )
    infer_types: bool = Field(
        default=False, description="Whether texts that read as numbers and booleans of JSON are such."
    )


class Values:
    """Makes values of elements."""

    def __init__(self, options: ValueOptions) -> None:
        self._options = options
        self._arrays = frozenset(options.force_array)
        self._all_arrays = "*" in self._arrays
        self._reserved = frozenset(
            ({options.attribute_key} if options.include_attributes else set())
            | ({options.text_key} if options.preserve_text else set())
        )
        self._names: dict[Any, tuple[str, bool]] = {}
        self.value = self._ordered_value if options.ordered else self._grouped_value
        """The value of an element."""
        if options.attribute_key == options.text_key:
            raise AgentError.permanent(OPTION_INVALID, "`attribute_key` and `text_key` must differ")

    def name(self, tag: str) -> str:
        """The key of an element or an attribute."""
        return tag if self._options.keep_namespaces else tag.rpartition("}")[2]

    def _grouped_value(self, element: etree._Element) -> Any:
        result: dict[str, Any] = {}
        options = self._options
        attributes = element.items() if options.include_attributes else None
        if attributes:
            result[options.attribute_key] = self._attributes(attributes)
        text = element.text or ""
        if text and options.trim_text:
            text = text.strip()
        names = self._names
        for child in element:
            named = names.get(child.tag) or self._named(child.tag)
            key, is_array = named
            if key:  # a comment has none
                value = self._grouped_value(child)
                held = result.get(key)
                if held is None:
                    result[key] = [value] if is_array else value
                elif type(held) is list:
                    held.append(value)
                else:
                    result[key] = [held, value]
            tail = child.tail
            if tail and (piece := tail.strip() if options.trim_text else tail):
                text = f"{text} {piece}" if text else piece
        if text and options.preserve_text:
            if not result:
                return inferred(text) if options.infer_types else text
            result[options.text_key] = inferred(text) if options.infer_types else text
        return result

    def _ordered_value(self, element: etree._Element) -> Any:
        result: dict[str, Any] = {}
        if self._options.include_attributes and (attributes := element.items()):
            result[self._options.attribute_key] = self._attributes(attributes)
        children: list[Any] = []
        self._add_text(children, element.text)
        for child in element:
            key = (self._names.get(child.tag) or self._named(child.tag))[0]
            if key:
                children.append({key: self._ordered_value(child)})
            self._add_text(children, child.tail)
        if not result and all(not isinstance(each, dict) for each in children):
            return self._text(" ".join(map(str, children))) if children else {}
        return {**result, CHILDREN_KEY: [self._text(each) if isinstance(each, str) else each for each in children]}

    def _add_text(self, children: list[Any], text: str | None) -> None:
        piece = (text.strip() if self._options.trim_text else text) if text else ""
        if piece and self._options.preserve_text:
            children.append(piece)

    def _attributes(self, items: Any) -> dict[str, Any]:
        if not self._options.keep_namespaces:
            items = [(name.rpartition("}")[2], value) for name, value in items]
        return {name: inferred(value) for name, value in items} if self._options.infer_types else dict(items)

    def _named(self, tag: Any) -> tuple[str, bool]:
        """The key of an element, and whether it is always an array; an empty key for what is no element."""
        key = self.name(tag) if isinstance(tag, str) else ""
        if key in self._reserved:
            raise AgentError.permanent(
                OPTION_INVALID,
                f"an element is called {key[:100]!r}, as are `attribute_key` or `text_key`: choose other keys",
            )
        named = (key, self._all_arrays or key in self._arrays or tag in self._arrays)
        if len(self._names) < _MOST_NAMES:
            self._names[tag] = named
        return named

    def _text(self, text: str) -> Any:
        return inferred(text) if self._options.infer_types else text
