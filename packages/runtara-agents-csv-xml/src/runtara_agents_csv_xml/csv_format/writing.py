"""Writing CSV: `to-csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator
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
from runtara_sdk.file_agent.changing import append_once
from runtara_sdk.written_decimal import WrittenDecimal, dump_json, plain_text

from runtara_agents_csv_xml.csv_format.json_lines import LINE_INVALID, read_json_lines
from runtara_agents_csv_xml.csv_format.options import MOST_COLUMNS

WRITE_ERROR = "CSV_WRITE_ERROR"
MEDIA_TYPE = "text/csv"

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_WRITE_CHARACTERS = 1024 * 1024
_LARGEST_FILE = 2**50
_QUOTING: dict[str, Literal[0, 1, 2, 3]] = {
    "minimal": csv.QUOTE_MINIMAL,
    "all": csv.QUOTE_ALL,
    "text": csv.QUOTE_NONNUMERIC,
    "none": csv.QUOTE_NONE,
}


class Column(BaseModel):
    """A column: where its values come from, and what it is called."""

    name: str = Field(description="Key of the objects.")
    header: str | None = Field(default=None, description="Name in the header; the key when left out.")


class ToCsvInput(BaseModel):
    """What is written, and how."""

    value: Any = Field(
        default=None,
        title="Value",
        description="An array of objects, arrays or scalars; one object is one row.",
        examples=[[{"sku": "A1", "qty": 2}]],
    )
    data: FileInput = Field(
        default=None,
        title="Data",
        description="A file of JSON lines, in place of `value`: for what is too large for the data of a workflow.",
    )
    columns: list[str | Column] | None = Field(
        default=None,
        description="Which columns, in which order, under which names; the keys of all objects in the order in which "
        "they first appear, when left out.",
        examples=[["sku", {"name": "qty", "header": "Quantity"}]],
    )
    use_header: bool = Field(default=True, description="Whether the first row names the columns.")
    delimiter: str = Field(default=",", description="One character.")
    quote_char: str = Field(default='"', description="One character; doubled within quotes.")
    escape_char: str | None = Field(default=None, description="One character before what is not quoted (quoting none).")
    quoting: Literal["minimal", "all", "text", "none"] = Field(
        default="minimal", description="Which fields are quoted: those that need it, all, all texts, none."
    )
    line_terminator: Literal["\n", "\r\n"] = Field(default="\n", description="Between rows, and after the last one.")
    encoding: str = Field(default="UTF-8", description="Of the file; what it cannot hold is an error.")
    bom: bool = Field(default=False, description="Whether a byte order mark comes first, as spreadsheets like it.")
    null_value: str = Field(default="", description="What stands for null.")
    formula_guard: Literal["off", "escape", "reject"] = Field(
        default="off",
        description="What becomes of texts that a spreadsheet would take for formulas (they begin with = + - @, a tab "
        "or a carriage return): `escape` puts an apostrophe before them, `reject` is an error. Off, as it changes data "
        "that programs read; set it for files that people open.",
    )
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

    @field_validator("delimiter", "quote_char", "escape_char")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in "\r\n"):
            raise ValueError("it must be one character, and no line break")
        return value


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
    if inputs.output == "file":
        if inputs.path is None:
            raise _write_error("output `file` needs `path`, a path in the workspace")
        return _append(inputs, context, inputs.path) if inputs.append else _to_file(inputs, context, inputs.path)
    if inputs.append:
        raise _write_error("`append` is for output `file`")
    text = "".join(_text(inputs, context))
    if inputs.output == "text":
        return text
    content = _encoded(text, inputs, first=True)
    if inputs.output == "bytes":
        return list(content)
    return FileData.of(content, filename="data.csv", mime_type=MEDIA_TYPE)


def _to_file(inputs: ToCsvInput, context: CapabilityContext, path: str) -> ToCsvFile:
    counted = _Counted()
    with context.require_workspace().create(path) as file:
        first = True
        for text in _text(inputs, context, counted):
            file.write(_encoded(text, inputs, first=first))
            first = False
        stored = file.commit()
    return ToCsvFile(file=FileReference.of(stored, mime_type=MEDIA_TYPE), rows=counted.rows, size=stored.size)


def _append(inputs: ToCsvInput, context: CapabilityContext, path: str) -> ToCsvFile:
    """Add rows; whether the header comes first must be the same when the step is run again."""
    if inputs.columns is None:
        raise _write_error("`append` needs `columns`: rows of all chunks must have the same ones")
    workspace = context.require_workspace()
    counted = _Counted()
    is_new = not workspace.path(path).exists()
    body = "".join(_text(inputs.model_copy(update={"use_header": False}), context, counted))
    head = "".join(_text(inputs.model_copy(update={"value": [], "data": None}), context)) if inputs.use_header else ""
    whole, rest = _encoded(head + body, inputs, first=True), _encoded(body, inputs, first=False)
    beginning = b""
    if not is_new:
        with workspace.open(path) as stream:
            beginning = stream.read(len(whole))
    # A file that consists of just this is one that this step may have begun: the append knows whether it did.
    content = whole if is_new or beginning == whole else rest
    added = append_once(path, content, context, limit_bytes=_LARGEST_FILE)
    described = workspace.describe(path)
    return ToCsvFile(file=FileReference.of(described, mime_type=MEDIA_TYPE), rows=counted.rows, size=added.total_size)


class _Counted:
    rows = 0


_BREAK = "\r\n"
"""The writer quotes what holds one of these characters."""


class _Rows:
    """What the writer has written, with the line ends that are wanted."""

    def __init__(self, ending: str) -> None:
        self.characters = 0
        self._ending = ending
        self._rows: list[str] = []

    def write(self, row: str) -> int:
        self._rows.append(row.removesuffix(_BREAK))
        self.characters += len(row)
        return len(row)

    def take(self) -> str:
        """What has been written since the last time."""
        text = "".join(f"{row}{self._ending}" for row in self._rows)
        self._rows.clear()
        self.characters = 0
        return text


def _text(inputs: ToCsvInput, context: CapabilityContext, counted: _Counted | None = None) -> Iterator[str]:
    """The CSV in pieces."""
    columns = _columns(inputs, context)
    rows = _Rows(inputs.line_terminator)
    writer = csv.writer(
        rows,
        delimiter=inputs.delimiter,
        quotechar=inputs.quote_char,
        escapechar=inputs.escape_char,
        quoting=_QUOTING[inputs.quoting],
        lineterminator=_BREAK,
    )
    row_number = 0
    try:
        if inputs.use_header and columns is not None:
            writer.writerow(_guarded([column.header or column.name for column in columns], inputs, 0))
        for record in _records(inputs, context):
            row_number += 1
            fields = [_field(value, inputs) for value in _values(record, columns)]
            if not fields:
                continue
            writer.writerow(_guarded(fields, inputs, row_number))
            if rows.characters >= _WRITE_CHARACTERS:
                context.check()
                yield rows.take()
    except csv.Error as error:
        raise _write_error(f"{error}: give escape_char, or another quoting", row_number) from None
    if counted is not None:
        counted.rows = row_number
    yield rows.take()


def _records(inputs: ToCsvInput, context: CapabilityContext) -> Iterator[Any]:
    if inputs.data is not None:
        if inputs.value is not None:
            raise _write_error("give either `value` or `data`")
        with open_file(inputs.data, context) as file:
            for record, _ in read_json_lines(file.stream):
                yield record
        return
    yield from inputs.value if isinstance(inputs.value, list) else [] if inputs.value is None else [inputs.value]


def _columns(inputs: ToCsvInput, context: CapabilityContext) -> list[Column] | None:
    """The columns of objects; None for an empty array."""
    if inputs.columns is not None:
        return [Column(name=each) if isinstance(each, str) else each for each in inputs.columns]
    keys: dict[str, None] = {}
    width, has_scalars = 0, False
    for record in _records(inputs, context):
        if isinstance(record, dict):
            keys.update(dict.fromkeys(record))
        elif isinstance(record, list):
            width = max(width, len(record))
        else:
            has_scalars = True
        if max(len(keys), width) > MOST_COLUMNS:
            raise _write_error(f"there are more than {MOST_COLUMNS} columns")
    if sum([bool(keys), bool(width), has_scalars]) > 1:
        raise _write_error("objects, arrays and scalars cannot be rows of one table: give all rows the same shape")
    if width:
        return [Column(name=str(index), header=f"Column {index + 1}") for index in range(width)]
    if has_scalars:
        return [Column(name="value")]
    return [Column(name=name) for name in keys] if keys else None


def _values(record: Any, columns: list[Column] | None) -> Iterable[Any]:
    if isinstance(record, dict):
        return [record.get(column.name) for column in columns or ()]
    if isinstance(record, list):
        return [*record, *[None] * (len(columns or ()) - len(record))]
    return [record]


def _field(value: Any, inputs: ToCsvInput) -> Any:
    if value is None:
        return inputs.null_value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenDecimal):
        return plain_text(value)
    if isinstance(value, str):
        return value
    # Numbers stay numbers for the writer, which quotes texts alone where it is told to.
    return value if isinstance(value, int | float) else dump_json(value, ensure_ascii=False, separators=(",", ":"))


def _guarded(fields: list[Any], inputs: ToCsvInput, row: int) -> list[Any]:
    if inputs.formula_guard == "off":
        return fields
    guarded = []
    for field in fields:
        if isinstance(field, str) and field.startswith(_FORMULAS):
            if inputs.formula_guard == "reject":
                raise _write_error("a text begins like a formula of a spreadsheet", row)
            field = f"'{field}"
        guarded.append(field)
    return guarded


def _encoded(text: str, inputs: ToCsvInput, *, first: bool) -> bytes:
    encoding = {"utf-8-sig": "utf-8"}.get(inputs.encoding.lower(), inputs.encoding)
    if encoding.lower().replace("_", "-") in ("utf-16", "utf-32"):
        encoding += "-le"
        first, text = False, ("\ufeff" if first else "") + text
    try:
        return ("\ufeff" + text if first and inputs.bom else text).encode(encoding)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        text = f"{character!r} cannot be written in {inputs.encoding}: use UTF-8"
        raise _write_error(text) from None
    except LookupError:
        raise _write_error(f"encoding {inputs.encoding[:40]!r} is unknown: use UTF-8 or windows-1252") from None


def _write_error(reason: str, row: int | None = None) -> AgentError:
    place = f"row {row}: " if row else ""
    return AgentError.permanent(WRITE_ERROR, f"{place}{reason}", attributes={"row": row})
