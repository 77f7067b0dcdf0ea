"""Writing XML: `to-xml`, the inverse of `from-xml`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

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

from runtara_agents_csv_xml.csv_format.json_lines import LINE_INVALID, read_json_lines
from runtara_agents_csv_xml.xml_format.encodings import TOO_LARGE
from runtara_agents_csv_xml.xml_format.markup import Markup, MarkupError, MarkupOptions

WRITE_ERROR = "XML_WRITE_ERROR"
MEDIA_TYPE = "application/xml"

_LONGEST_RESULT = 64 * 1024 * 1024


class ToXmlInput(MarkupOptions):
    """What is written, and how."""

    value: Any = Field(
        default=None,
        title="Value",
        description="An object with one key, the root; or any value, with `root`.",
        examples=[{"order": {"@attributes": {"id": "7"}, "line": ["a", "b"]}}],
    )
    data: FileInput = Field(
        default=None,
        title="Data",
        description="A file of JSON lines: each line becomes an element `item_name` within the root, behind what "
        "`value` gives the root.",
    )
    root: str | None = Field(default=None, description="Name of the root.", examples=["orders"])
    declaration: bool = Field(default=True, description="Whether <?xml ...?> comes first.")
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
        KnownError.permanent(LINE_INVALID, "A line of `data` is no JSON.", "line", "byte"),
        KnownError.permanent(TOO_LARGE, "The result is too large for the data of a workflow.", "limit"),
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
        Example(
            inputs={
                "value": {"orders": {"@attributes": {"day": "2026-11-27"}}},
                "data": {"$file": "work/orders.jsonl"},
                "item_name": "order",
                "output": "file",
                "path": "out/orders.xml",
            },
            output={
                "file": {
                    "$file": "out/orders.xml",
                    "filename": "orders.xml",
                    "size": 129,
                    "sha256": "22885d41906b1f2cbc428fb14756cee73a1e2324c55607a2b97f3f97ebbef281",
                    "mimeType": MEDIA_TYPE,
                },
                "size": 129,
            },
            files={"work/orders.jsonl": '{"sku": "A1"}\n{"sku": "B2"}\n'},
        ),
    ],
)
def to_xml(inputs: ToXmlInput, context: CapabilityContext) -> str | FileData | ToXmlFile:
    """The XML."""
    pieces = _pieces(inputs, context)
    if inputs.output == "file":
        if inputs.path is None:
            raise _write_error("path", "output `file` needs `path`, a path in the workspace")
        with context.require_workspace().create(inputs.path) as file:
            for piece in pieces:
                file.write(piece.encode())
                context.check()
            stored = file.commit()
        return ToXmlFile(file=FileReference.of(stored, mime_type=MEDIA_TYPE), size=stored.size)
    text = _joined(pieces)
    if inputs.output == "text":
        return text
    return FileData.of(text.encode(), filename="data.xml", mime_type=MEDIA_TYPE)


def _joined(pieces: Iterator[str]) -> str:
    kept: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > _LONGEST_RESULT:
            raise AgentError.permanent(
                TOO_LARGE,
                f"the document has more than {_LONGEST_RESULT} characters: use output `file`",
                attributes={"limit": _LONGEST_RESULT},
            )
        kept.append(piece)
    return "".join(kept)


def _pieces(inputs: ToXmlInput, context: CapabilityContext) -> Iterator[str]:
    name, value = _root(inputs)
    try:
        markup = Markup(inputs)
        if inputs.declaration:
            yield '<?xml version="1.0" encoding="UTF-8"?>\n'
        if inputs.data is None:
            yield from markup.document(name, value)
            return
        with open_file(inputs.data, context) as file:
            records = (record for record, _ in read_json_lines(file.stream))
            yield from markup.document(name, value, records)
    except MarkupError as error:
        raise _write_error(error.place, str(error)) from None


def _root(inputs: ToXmlInput) -> tuple[str, Any]:
    value, root = inputs.value, inputs.root
    if root is not None:
        return root, ({inputs.item_name: value} if isinstance(value, list) else value)
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if not isinstance(inner, list):
            return str(name), inner
    if inputs.data is not None and value is None:
        return "items", None
    raise _write_error("value", "give an object with one key, the root, or the name of one as `root`")


def _write_error(place: str, reason: str) -> AgentError:
    return AgentError.permanent(WRITE_ERROR, f"{place[:200]}: {reason}", attributes={"path": place[:200]})
