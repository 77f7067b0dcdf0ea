"""Writing CSV: `to-csv`."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field
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

from runtara_agents_csv_xml.csv_format.appending import append_rows
from runtara_agents_csv_xml.csv_format.json_lines import LINE_INVALID, read_json_lines
from runtara_agents_csv_xml.csv_format.tables import WRITE_ERROR, Table, TableOptions, columns_of, write_error

MEDIA_TYPE = "text/csv"
TOO_LARGE = "CSV_TOO_LARGE"

_LONGEST_RESULT = 64 * 1024 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_WITHOUT_A_MARK = {"utf_8_sig": "utf-8", "utf_16": "utf-16-le", "utf_32": "utf-32-le"}


class ToCsvInput(TableOptions):
    """What is written, and how."""

    value: Any = Field(
        default=None,
        validation_alias=AliasChoices("value", "records"),
        title="Value",
        description="An array of objects, arrays or scalars; one object is one row.",
        examples=[[{"sku": "A1", "qty": 2}]],
    )
    data: FileInput = Field(
        default=None,
        title="Data",
        description="A file of JSON lines, in place of `value`: for what is too large for the data of a workflow.",
    )
    encoding: str = Field(default="UTF-8", description="Of the file; what it cannot hold is an error.")
    bom: bool = Field(default=False, description="Whether a byte order mark comes first, as spreadsheets like it.")
    output: Literal["text", "data", "bytes", "file"] = Field(
        default="text",
        description="`text`: a string. `data`: {content, filename, mimeType} with base64. `bytes`: an array of "
        "numbers. `file`: a file of the workspace at `path`.",
    )
    path: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["out/orders.csv"])
    append: bool = Field(
        default=False,
        description="Whether the rows are added to the file at `path`, once for each run of a step; the header is "
        "written to a new file only, so give `columns`.",
    )


class ToCsvFile(BaseModel):
    """The file that was written."""

    file: FileReference
    rows: int = Field(description="Rows that were written, without the header.")
    size: int = Field(description="Bytes of the file.")


@capability(
    id="to-csv",
    aliases=("generate",),
    display_name="Generate CSV",
    description="Writes objects or arrays as CSV.",
    side_effects=True,
    effect=EffectClass.KEYED,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(WRITE_ERROR, "A value cannot be written so, or two options do not go together.", "row"),
        KnownError.permanent(LINE_INVALID, "A line of `data` is no JSON.", "line"),
        KnownError.permanent(TOO_LARGE, "The result is too large for the data of a workflow.", "limit_bytes"),
    ),
    examples=[
        Example(inputs={"value": [{"b": 1, "a": "x,y"}, {"a": None, "c": True}]}, output='b,a,c\n1,"x,y",\n,,true\n'),
        Example(
            inputs={
                "data": {"$file": "work/orders.jsonl"},
                "columns": [{"name": "sku", "header": "SKU"}],
                "output": "file",
                "path": "out/orders.csv",
            },
            output={
                "file": {
                    "$file": "out/orders.csv",
                    "filename": "orders.csv",
                    "size": 10,
                    "sha256": "1932f67698055a30df8993c7cb0746002bff35574b74588168c0b285493fd567",
                    "mimeType": "text/csv",
                },
                "rows": 2,
                "size": 10,
            },
            files={"work/orders.jsonl": '{"sku": "A1"}\n{"sku": "B2"}\n'},
        ),
    ],
)
def to_csv(inputs: ToCsvInput, context: CapabilityContext) -> str | list[int] | FileData | ToCsvFile:
    """The CSV."""
    if inputs.value is not None and inputs.data is not None:
        raise write_error("give either `value` or `data`")
    if inputs.append and inputs.output != "file":
        raise write_error("`append` is for output `file`")
    if inputs.append and inputs.columns is None:
        raise write_error("`append` needs `columns`: all rows of the file must have the same ones")
    table = Table(inputs, columns_of(inputs, () if inputs.columns is not None else _records(inputs, context)))
    if inputs.output == "file":
        if inputs.path is None:
            raise write_error("output `file` needs `path`, a path in the workspace")
        return _append(table, inputs, context, inputs.path) if inputs.append else _file(table, inputs, context)
    text = table.header() + _whole(table, inputs, context)
    if inputs.output == "text":
        return text
    content = _encoded(text, inputs, first=True)
    if inputs.output == "data":
        return FileData.of(content, filename="data.csv", mime_type=MEDIA_TYPE)
    if len(content) > _MOST_BYTES:
        raise _too_large(_MOST_BYTES)
    return list(content)


def _file(table: Table, inputs: ToCsvInput, context: CapabilityContext) -> ToCsvFile:
    with context.require_workspace().create(inputs.path or "") as file:
        file.write(_encoded(table.header(), inputs, first=True))
        for text in table.text(_records(inputs, context), context.check):
            file.write(_encoded(text, inputs, first=False))
        stored = file.commit()
    return ToCsvFile(file=FileReference.of(stored, mime_type=MEDIA_TYPE), rows=table.rows, size=stored.size)


def _append(table: Table, inputs: ToCsvInput, context: CapabilityContext, path: str) -> ToCsvFile:
    header = _encoded(table.header(), inputs, first=True)
    rows = _encoded(_whole(table, inputs, context), inputs, first=False)
    stored = append_rows(path, header, rows, context)
    return ToCsvFile(file=FileReference.of(stored, mime_type=MEDIA_TYPE), rows=table.rows, size=stored.size)


def _whole(table: Table, inputs: ToCsvInput, context: CapabilityContext) -> str:
    """The rows as one text, which is bounded."""
    pieces, characters = [], 0
    for text in table.text(_records(inputs, context), context.check):
        pieces.append(text)
        characters += len(text)
        if characters > _LONGEST_RESULT:
            raise _too_large(_LONGEST_RESULT)
    return "".join(pieces)


def _records(inputs: ToCsvInput, context: CapabilityContext) -> Iterator[Any]:
    if inputs.data is not None:
        with open_file(inputs.data, context) as file:
            for record, _ in read_json_lines(file.stream):
                yield record
        return
    yield from inputs.value if isinstance(inputs.value, list) else [] if inputs.value is None else [inputs.value]


def _encoded(text: str, inputs: ToCsvInput, *, first: bool) -> bytes:
    """The bytes of a piece; the first one of a file has the mark that is wanted, UTF-16 and UTF-32 always."""
    try:
        name = codecs.lookup(inputs.encoding).name.replace("-", "_")
        encoding = _WITHOUT_A_MARK.get(name, name)
        mark = "\ufeff" if first and (inputs.bom or name in _WITHOUT_A_MARK) else ""
        return (mark + text).encode(encoding)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise write_error(f"{character!r} cannot be written in {inputs.encoding}: use UTF-8") from None
    except LookupError:
        raise write_error(f"encoding {inputs.encoding[:40]!r} is unknown: use UTF-8 or windows-1252") from None


def _too_large(limit: int) -> AgentError:
    reason = f"the result is larger than {limit} bytes: use output `file` without `append`"
    return AgentError.permanent(TOO_LARGE, reason, attributes={"limit_bytes": limit})
