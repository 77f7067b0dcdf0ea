"""Elements as JSON values, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from runtara_agents_csv_xml.csv_format.values import inferred

if TYPE_CHECKING:
    from lxml import etree


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


CHILDREN_KEY = "@children"


class Values:
    """Makes values of elements."""

    def __init__(self, options: ValueOptions) -> None:
        self._options = options
        self._arrays = frozenset(options.force_array)
        self._all_arrays = "*" in self._arrays

    def name(self, tag: str) -> str:
        """The key of an element or an attribute."""
        return tag if self._options.keep_namespaces else tag.rpartition("}")[2]

    def value(self, element: etree._Element) -> Any:
        """The value of an element."""
        options = self._options
        result: dict[str, Any] = {}
        if options.include_attributes and element.attrib:
            attributes = {self.name(str(key)): self._text(str(value)) for key, value in element.attrib.items()}
            result[options.attribute_key] = attributes
        if options.ordered:
            return self._ordered(element, result)
        pieces = [self._piece(element.text)]
        for child in element:
            if isinstance(child.tag, str):
                self._add(result, self.name(child.tag), self.value(child))
            pieces.append(self._piece(child.tail))
        text = " ".join(piece for piece in pieces if piece) if options.preserve_text else ""
        if text:
            if not result:
                return self._text(text)
            result[options.text_key] = self._text(text)
        return result

    def _ordered(self, element: etree._Element, result: dict[str, Any]) -> Any:
        children: list[Any] = []
        for piece, child in [(element.text, None), *((child.tail, child) for child in element)]:
            if child is not None and isinstance(child.tag, str):
                children.append({self.name(child.tag): self.value(child)})
            if self._options.preserve_text and (text := self._piece(piece)):
                children.append(self._text(text))
        if not result and all(not isinstance(each, dict) for each in children):
            return self._text(" ".join(map(str, children))) if children else {}
        return {**result, CHILDREN_KEY: children}

    def _add(self, result: dict[str, Any], name: str, value: Any) -> None:
        if name in result:
            held = result[name]
            if isinstance(held, _Several):
                held.append(value)
            else:
                result[name] = _Several([held, value])
        else:
            result[name] = _Several([value]) if self._all_arrays or name in self._arrays else value

    def _piece(self, text: str | None) -> str:
        if text is None:
            return ""
        return text.strip() if self._options.trim_text else text

    def _text(self, text: str) -> Any:
        return inferred(text) if self._options.infer_types else text


class _Several(list[Any]):
    """Elements of one name."""
