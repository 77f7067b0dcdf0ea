"""Writing XML: `to-xml`, the inverse of `from-xml`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

from pydantic import BaseModel, Field
from runtara_sdk.agents import (
    AgentError,
    CapabilityContext,
    EffectClass,
    Example,
    FileData,
    FileReference,
    KnownError,
    capability,
)
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS, FileInput, open_file
from runtara_sdk.written_decimal import WrittenDecimal, plain_text

from runtara_agents_csv_xml.csv_format.json_lines import LINE_INVALID, read_json_lines
from runtara_agents_csv_xml.xml_format.values import CHILDREN_KEY

WRITE_ERROR = "XML_WRITE_ERROR"
MEDIA_TYPE = "application/xml"

_START = (
    "A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd"
)
_NAME = re.compile(f"[{_START}][{_START}0-9.\u00b7\u0300-\u036f\u203f\u2040-]*")
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DEEPEST = 200
_WRITE_CHARACTERS = 256 * 1024


class ToXmlInput(BaseModel):
    """What is written, and how."""

    value: Any = Field(
        default=None,
        title="Value",
        description="An object with one key, the root; or any value, with `root`.",
        examples=[{"order": {"@attributes": {"id": "7"}, "line": ["a", "b"]}}],
    )
    data: FileInput = Field(
        default=None,
        description="A file of JSON lines in place of `value`: each line is an element `item_name` within `root`.",
    )
    root: str | None = Field(default=None, description="Name of the root.", examples=["orders"])
    item_name: str = Field(default="item", description="Name of the elements of an array at the root, or of `data`.")
    attribute_key: str = Field(default="@attributes", min_length=1, description="Key of the attributes.")
    text_key: str = Field(default="@text", min_length=1, description="Key of the text beside attributes and children.")
    cdata: list[str] = Field(
        default_factory=list, description="Names of elements whose text is written as CDATA; `*` for all."
    )
    namespaces: dict[str, str] = Field(
        default_factory=dict,
        description="Namespaces by prefix, declared at the root; the empty prefix is the default one. Names may be "
        "`prefix:name` or `{namespace}name`.",
    )
    declaration: bool = Field(default=True, description="Whether <?xml ...?> comes first.")
    pretty: bool = Field(default=False, description="Whether elements stand on lines of their own, indented.")
    output: Literal["text", "data", "file"] = Field(
        default="text",
        description="`text`: a string. `data`: {content, filename, mimeType} with base64. `file`: a file of the "
        "workspace at `path`. Files are UTF-8.",
    )
    path: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["out/orders.xml"])


class ToXmlFile(BaseModel):
    """The file that was written."""

    file: FileReference
    size: int = Field(description="Bytes.")


@capability(
    id="to-xml",
    aliases=("generate",),
    display_name="Generate XML",
    description="Writes nested objects as XML, as from-xml reads them.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(WRITE_ERROR, "A name or a text cannot be XML.", "path"),
        KnownError.permanent(LINE_INVALID, "A line of `data` is no JSON.", "line"),
    ),
    examples=[
        Example(
            inputs={"value": {"o": {"@attributes": {"id": "5"}, "l": ["1", "2"], "n": {}}}, "declaration": False},
            output='<o id="5"><l>1</l><l>2</l><n/></o>',
        ),
        Example(
            inputs={"value": [1, {"a": None}], "root": "list", "declaration": False},
            output="<list><item>1</item><item><a/></item></list>",
        ),
    ],
)
def to_xml(inputs: ToXmlInput, context: CapabilityContext) -> str | FileData | ToXmlFile:
    """The XML."""
    pieces = _Writer(inputs).document(context)
    if inputs.output == "file":
        if inputs.path is None:
            raise _write_error("output `file` needs `path`, a path in the workspace", "path")
        with context.require_workspace().create(inputs.path) as file:
            for piece in pieces:
                file.write(piece.encode())
                context.check()
            stored = file.commit()
        return ToXmlFile(file=FileReference.of(stored, mime_type=MEDIA_TYPE), size=stored.size)
    text = "".join(pieces)
    if inputs.output == "text":
        return text
    return FileData.of(text.encode(), filename="data.xml", mime_type=MEDIA_TYPE)


class _Writer:
    def __init__(self, inputs: ToXmlInput) -> None:
        self._inputs = inputs
        self._parts: list[str] = []
        self._characters = 0
        self._break = "\n" if inputs.pretty else ""
        self._prefixes = {namespace: prefix for prefix, namespace in inputs.namespaces.items()}
        self._cdata = frozenset(inputs.cdata)

    def document(self, context: CapabilityContext) -> Iterator[str]:
        inputs = self._inputs
        if inputs.declaration:
            self._put(f'<?xml version="1.0" encoding="UTF-8"?>{self._break or chr(10)}')
        declared = "".join(
            f" {'xmlns:' + self._checked(prefix, 'namespaces') if prefix else 'xmlns'}={quoteattr(namespace)}"
            for prefix, namespace in inputs.namespaces.items()
        )
        if inputs.data is not None:
            yield from self._stream(declared, context)
            return
        name, value = self._root()
        self._element(name, value, "", 0, declared)
        if inputs.pretty:
            self._put("\n")
        yield "".join(self._parts)

    def _stream(self, declared: str, context: CapabilityContext) -> Iterator[str]:
        inputs = self._inputs
        root = self._name(inputs.root or "items", "root")
        self._put(f"<{root}{declared}>{self._break}")
        with open_file(inputs.data, context) as file:
            for record, _ in read_json_lines(file.stream):
                self._element(inputs.item_name, record, "data", 1)
                self._put(self._break)
                if self._characters >= _WRITE_CHARACTERS:
                    yield "".join(self._parts)
                    self._parts.clear()
                    self._characters = 0
        self._put(f"</{root}>{self._break}")
        yield "".join(self._parts)

    def _root(self) -> tuple[str, Any]:
        value, root = self._inputs.value, self._inputs.root
        if root is not None:
            return root, ({self._inputs.item_name: value} if isinstance(value, list) else value)
        if isinstance(value, dict) and len(value) == 1:
            ((name, inner),) = value.items()
            if not isinstance(inner, list):
                return str(name), inner
        raise _write_error("give an object with one key, the root, or the name of one as `root`", "value")

    def _element(self, name: str, value: Any, path: str, depth: int, declared: str = "") -> None:
        place = f"{path}.{name}" if path else name
        if depth > _DEEPEST:
            raise _write_error(f"it is nested deeper than {_DEEPEST} levels", place)
        tag = self._name(name, place)
        indent = "  " * depth if self._inputs.pretty else ""
        attributes, text, children = self._content(value, place)
        start = f"{indent}<{tag}{declared}{attributes}"
        if not children:
            self._put(f"{start}>{self._text(name, text, place)}</{tag}>" if text else f"{start}/>")
            return
        # Within mixed content a line break would be text.
        is_mixed = any(isinstance(child, str) for child in children) or bool(text)
        line_break = "" if is_mixed else self._break
        self._put(f"{start}>{self._text(name, text, place)}{line_break}")
        for child in children:
            if isinstance(child, str):
                self._put(self._text(name, child, place))
                continue
            child_name, child_value = child
            self._element(child_name, child_value, place, 0 if is_mixed else depth + 1)
            self._put(line_break)
        self._put(f"{'' if is_mixed else indent}</{tag}>")

    def _content(self, value: Any, place: str) -> tuple[str, str, list[Any]]:
        """Attributes, text and children of an element; a child is a text, or a name with a value."""
        if not isinstance(value, dict):
            if isinstance(value, list):
                return "", "", [(self._inputs.item_name, item) for item in value]
            return "", _scalar(value), []
        inputs = self._inputs
        attributes, text, children = "", "", []
        for key, item in value.items():
            if key == inputs.attribute_key and isinstance(item, dict):
                attributes = "".join(
                    f" {self._name(str(name), f'{place}.{key}')}={self._attribute(each, f'{place}.{key}.{name}')}"
                    for name, each in item.items()
                )
            elif key == inputs.text_key:
                text = _scalar(item) if not isinstance(item, dict | list) else ""
            elif key == CHILDREN_KEY and isinstance(item, list):
                children += [each for child in item for each in self._ordered_child(child, place)]
            elif isinstance(item, list):
                children += [(key, each) for each in item]
            else:
                children.append((key, item))
        return attributes, text, children

    def _ordered_child(self, child: Any, place: str) -> list[Any]:
        if isinstance(child, dict):
            return list(child.items())
        if isinstance(child, list):
            raise _write_error("a child is a text or an object", f"{place}.{CHILDREN_KEY}")
        return [_scalar(child)]

    def _name(self, name: str, place: str) -> str:
        if name.startswith("{"):
            namespace, _, local = name[1:].rpartition("}")
            prefix = self._prefixes.get(namespace)
            if prefix is None:
                raise _write_error(f"the namespace {namespace[:100]!r} is not among `namespaces`", place)
            name = f"{prefix}:{local}" if prefix else local
        prefix, colon, local = name.partition(":")
        if colon:
            if prefix not in self._inputs.namespaces and prefix != "xml":
                raise _write_error(f"the prefix {prefix[:100]!r} is not among `namespaces`", place)
            return f"{self._checked(prefix, place)}:{self._checked(local, place)}"
        return self._checked(name, place)

    def _checked(self, name: str, place: str) -> str:
        if _NAME.fullmatch(name) is None:
            raise _write_error(f"{name[:100]!r} is no name of an element or attribute", place)
        return name

    def _attribute(self, value: Any, place: str) -> str:
        if isinstance(value, dict | list):
            raise _write_error("an attribute is a text, a number or a boolean", place)
        text = self._allowed(_scalar(value), place)
        return quoteattr(text, {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})

    def _text(self, name: str, text: str, place: str) -> str:
        if not text:
            return ""
        self._allowed(text, place)
        if "*" in self._cdata or name in self._cdata:
            return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"
        return escape(text, {"\r": "&#13;"})

    def _allowed(self, text: str, place: str) -> str:
        found = _FORBIDDEN.search(text)
        if found is not None:
            raise _write_error(f"the character U+{ord(found[0]):04X} cannot stand in XML", place)
        return text

    def _put(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._characters += len(text)


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenDecimal):
        return plain_text(value)
    return value if isinstance(value, str) else repr(value)


def _write_error(reason: str, place: str) -> AgentError:
    return AgentError.permanent(WRITE_ERROR, f"{place[:200]}: {reason}", attributes={"path": place[:200]})
