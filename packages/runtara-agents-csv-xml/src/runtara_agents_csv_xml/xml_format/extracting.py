"""Parts of XML: `xml-extract`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import (
    AgentError,
    CapabilityContext,
    EffectClass,
    Example,
    FileReference,
    KnownError,
    capability,
)
from runtara_sdk.agents.conditions import ConditionInput, read_condition
from runtara_sdk.agents.files import WORKSPACE_ERRORS

from runtara_agents_csv_xml.csv_format.json_lines import MEDIA_TYPE, write_json_lines
from runtara_agents_csv_xml.xml_format.documents import READ_ERRORS, DocumentInput, document
from runtara_agents_csv_xml.xml_format.reading import ORDER
from runtara_agents_csv_xml.xml_format.streaming import PATH_INVALID, ElementPath, bad_path, elements
from runtara_agents_csv_xml.xml_format.values import OPTION_ERROR, OPTION_INVALID, ValueOptions, Values

_MOST_MATCHES = 100_000
_LONGEST_PATH = 10_000


class ExtractInput(DocumentInput, ValueOptions):
    """What is looked for."""

    path: str = Field(
        title="Path",
        max_length=_LONGEST_PATH,
        description="XPath 1.0; or, for `output` `file`, names of elements with slashes: `/orders/order`, `//order`.",
        examples=["//line/@sku"],
    )
    namespaces: dict[str, str] = Field(
        default_factory=dict, description="Namespaces by the prefixes of the path.", examples=[{"s": "urn:shop"}]
    )
    form: Literal["values", "text", "objects"] = Field(
        default="values",
        description="`values`: elements as from-xml reads them, attributes and texts as they are. `text`: the text of "
        "each, with that of the elements within. `objects`: {name: value}, as from-xml gives the root.",
    )
    where: ConditionInput | None = Field(default=None, description="Only matches for which it holds.")
    limit: int | None = Field(default=None, ge=0, description="At most so many, counted after `where`.")
    output: Literal["values", "file"] = Field(
        default="values",
        description="`values`: an array. `file`: JSON lines in the workspace at `save_to`; the document is read piece "
        "by piece and may be of any size.",
    )
    save_to: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["work/orders.jsonl"])
    huge_texts: bool = Field(
        default=False, description="Whether, for `output` `file`, single texts may have more than 10 million bytes."
    )


class ExtractOutput(BaseModel):
    """What was found."""

    values: list[Any] | None = Field(default=None, description="In the order of the document; null where in a file.")
    file: FileReference | None = Field(default=None, description="JSON lines in the workspace.")
    count: int = Field(description="How many there are.")


@capability(
    id="xml-extract",
    aliases=("extract",),
    display_name="Extract from XML",
    description="Finds parts of a document by XPath, or streams elements of one of any size into a file.",
    effect=EffectClass.IDEMPOTENT,  # a file of the workspace may be written
    known_errors=(
        *READ_ERRORS,
        *WORKSPACE_ERRORS,
        OPTION_ERROR,
        KnownError.permanent(PATH_INVALID, "The path is no XPath, or cannot be streamed.", "path"),
        KnownError.permanent("CONDITION_INVALID", "`where` is no condition.", "place"),
    ),
    examples=[
        Example(inputs={"text": ORDER, "path": "//l"}, output={"values": ["1", "2"], "file": None, "count": 2}),
        Example(inputs={"text": ORDER, "path": "/o/@id"}, output={"values": ["5"], "file": None, "count": 1}),
        Example(
            inputs={
                "data": {"$file": "in/orders.xml"},
                "path": "/orders/order",
                "output": "file",
                "save_to": "work/orders.jsonl",
            },
            output={
                "values": None,
                "file": {
                    "$file": "work/orders.jsonl",
                    "filename": "orders.jsonl",
                    "size": 26,
                    "sha256": "48971b4f9352afe804a06dab3b102c7f533d370c7e35b1b2b0bb49e118b60dbd",
                    "mimeType": MEDIA_TYPE,
                },
                "count": 2,
            },
            files={"in/orders.xml": "<orders><order><sku>A1</sku></order><order><sku>B2</sku></order></orders>"},
        ),
    ],
)
def xml_extract(inputs: ExtractInput, context: CapabilityContext) -> ExtractOutput:
    """What is found."""
    form = _form(inputs)
    if inputs.output == "file":
        if inputs.save_to is None:
            raise AgentError.permanent(OPTION_INVALID, "output `file` needs `save_to`, a path in the workspace")
        path = ElementPath(inputs.path, inputs.namespaces)
        found = map(form, elements(inputs, path, context, huge_texts=inputs.huge_texts))
        stored, count = write_json_lines(inputs.save_to, _kept(inputs, found), context)
        return ExtractOutput(file=FileReference.of(stored, mime_type=MEDIA_TYPE), count=count)
    kept = list(_kept(inputs, map(form, _xpath(inputs, context))))
    return ExtractOutput(values=kept, count=len(kept))


def _kept(inputs: ExtractInput, found: Iterator[Any]) -> Iterator[Any]:
    if inputs.where is not None:
        found = filter(read_condition(inputs.where, "where"), found)
    return islice(found, inputs.limit)


def _xpath(inputs: ExtractInput, context: CapabilityContext) -> list[Any]:
    from lxml import etree

    try:
        compiled = etree.XPath(inputs.path, namespaces=inputs.namespaces, regexp=False)
    except (etree.XPathError, ValueError, TypeError) as error:
        raise bad_path(inputs.path, str(error)[:200]) from None
    root = document(inputs, context)
    try:
        found = compiled(root)
    except (etree.XPathError, ValueError, TypeError) as error:
        raise bad_path(inputs.path, str(error)[:200]) from None
    if not isinstance(found, list):  # a number, a text or a boolean
        return [found]
    if len(found) > _MOST_MATCHES:
        raise bad_path(inputs.path, f"more than {_MOST_MATCHES} parts fit: use output `file`")
    return found


def _form(inputs: ExtractInput) -> Callable[[Any], Any]:
    values = Values(inputs)

    def value(item: Any) -> Any:
        if isinstance(item, str):
            return str(item)
        if isinstance(item, bool):
            return item
        if isinstance(item, float):  # of a calculation; JSON has neither infinity nor what is no number
            return None if not math.isfinite(item) else int(item) if item.is_integer() else item
        if isinstance(item, tuple):  # of the namespace axis
            return {"prefix": item[0], "namespace": item[1]}
        return values.value(item) if isinstance(item.tag, str) else (item.text or "")

    def text(item: Any) -> Any:
        if not hasattr(item, "tag"):
            return value(item)
        found = "".join(item.itertext()) if isinstance(item.tag, str) else (item.text or "")
        return found.strip() if inputs.trim_text else found

    def named(item: Any) -> Any:
        name = getattr(item, "attrname", None) if isinstance(item, str) else getattr(item, "tag", None)
        return {values.name(name): value(item)} if isinstance(name, str) else value(item)

    return {"values": value, "text": text, "objects": named}[inputs.form]
