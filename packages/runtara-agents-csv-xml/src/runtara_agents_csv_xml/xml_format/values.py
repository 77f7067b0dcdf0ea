"""Elements as JSON values."""

from __future__ import annotations

from collections.abc import Callable
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
        self.value: Callable[[etree._Element], Any] = self._ordered_value if options.ordered else self._grouped_values()
        """The value of an element."""
        if options.attribute_key == options.text_key:
            raise AgentError.permanent(OPTION_INVALID, "`attribute_key` and `text_key` must differ")

    def name(self, tag: str) -> str:
        """The key of an element or an attribute."""
        return tag if self._options.keep_namespaces else tag.rpartition("}")[2]

    def _grouped_values(self) -> Callable[[etree._Element], Any]:
        """A function of its own, as this is where a large document spends its time."""
        options, names, named, attributes_of = self._options, self._names, self._named, self._attributes
        with_attributes, with_text, trims = options.include_attributes, options.preserve_text, options.trim_text
        attribute_key, text_key, infers = options.attribute_key, options.text_key, options.infer_types

        def value(element: Any) -> Any:
            result: dict[str, Any] = {}
            if with_attributes and (attributes := element.items()):
                result[attribute_key] = attributes_of(attributes)
            text = element.text or ""
            if trims and text:
                text = text.strip()
            # To ask for the number of children costs a tenth of what it costs to iterate over none.
            for child in element if len(element) else ():
                tag = child.tag
                key, is_array = names.get(tag) or named(tag)
                if key:  # a comment has none
                    if len(child) or (with_attributes and child.items()):
                        inner = value(child)
                    else:
                        own = (child.text if with_text else None) or ""
                        if trims and own:
                            own = own.strip()
                        inner = (inferred(own) if infers else own) if own else {}
                    if key not in result:
                        result[key] = [inner] if is_array else inner
                    elif type(held := result[key]) is list:
                        held.append(inner)
                    else:
                        result[key] = [held, inner]
                tail = child.tail
                if tail and (piece := tail.strip() if trims else tail):
                    text = f"{text} {piece}" if text else piece
            if text and with_text:
                if infers:
                    text = inferred(text)
                if not result:
                    return text
                result[text_key] = text
            return result

        return value

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
            items = [(name.rpartition("}")[2] if name[0] == "{" else name, value) for name, value in items]
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
