"""Reading a large file piece by piece: `csv-read-chunk`."""

from __future__ import annotations

from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import CapabilityContext, Example, KnownError, capability

from runtara_agents_csv_xml.csv_format.json_lines import LINE_INVALID, read_json_lines
from runtara_agents_csv_xml.csv_format.options import ReadOptions
from runtara_agents_csv_xml.csv_format.reading import ORDERS, READ_ERRORS
from runtara_agents_csv_xml.csv_format.records import BadRow, Record, Records
from runtara_agents_csv_xml.csv_format.rows import open_csv
from runtara_agents_csv_xml.sources import open_source

_LARGEST_CHUNK_BYTES = 16 * 1024 * 1024
_ROWS_BETWEEN_LOOKS = 200


class ReadChunkInput(ReadOptions):
    """Which part of a file."""

    offset: int = Field(default=0, ge=0, description="`next_offset` of the chunk before; 0 for the first one.")
    row: int = Field(default=0, ge=0, description="`next_row` of the chunk before, for the numbers in messages.")
    limit: int = Field(
        default=1000, ge=1, le=100_000, description="At most so many rows; fewer where they have over 16 MiB."
    )
    format: Literal["csv", "json-lines"] = Field(
        default="csv", description="`json-lines`: one JSON value a line, as `from-csv` and `xml-extract` write them."
    )


class Chunk(BaseModel):
    """Rows, and where the next ones begin."""

    rows: list[Any]
    count: int = Field(description="How many rows these are.")
    columns: list[str] = Field(description="Names of the columns, in order.")
    next_offset: int = Field(description="Where the next chunk begins, in bytes.")
    next_row: int = Field(description="The number of the last row that was read.")
    done: bool = Field(description="Whether nothing follows.")
    bad_rows: list[BadRow] = Field(description="Rows that were left out or mended.")


@capability(
    id="csv-read-chunk",
    aliases=("read-chunk",),
    display_name="Read CSV Chunk",
    description="Reads some rows of a large file, and says where the next ones begin; costs what the chunk costs.",
    known_errors=(*READ_ERRORS, KnownError.permanent(LINE_INVALID, "A line is no JSON.", "line", "byte")),
    examples=[
        Example(
            inputs={"data": {"$file": "in/orders.csv"}, "delimiter": ";", "limit": 1},
            output={
                "rows": [{"sku": "A1", "qty": "2"}],
                "count": 1,
                "columns": ["sku", "qty"],
                "next_offset": 13,
                "next_row": 2,
                "done": False,
                "bad_rows": [],
            },
            files={"in/orders.csv": ORDERS},
        ),
        Example(
            inputs={"data": {"$file": "in/orders.csv"}, "delimiter": ";", "offset": 13, "row": 2},
            output={
                "rows": [{"sku": "B2", "qty": "30"}],
                "count": 1,
                "columns": ["sku", "qty"],
                "next_offset": 19,
                "next_row": 3,
                "done": True,
                "bad_rows": [],
            },
            files={"in/orders.csv": ORDERS},
        ),
    ],
)
def csv_read_chunk(inputs: ReadChunkInput, context: CapabilityContext) -> Chunk:
    """The chunk."""
    if inputs.format == "json-lines":
        return _json_chunk(inputs, context)
    with open_csv(inputs, context) as source:
        records = Records(source)
        if inputs.offset:
            records.begin_at(inputs.offset, inputs.row)
        rows: list[Record] = []
        remaining, is_over = iter(records), False
        while len(rows) < inputs.limit and not is_over:
            wanted = min(_ROWS_BETWEEN_LOOKS, inputs.limit - len(rows))
            batch = list(islice(remaining, wanted))
            rows += batch
            is_over = len(batch) < wanted
            if source.position - inputs.offset > _LARGEST_CHUNK_BYTES:
                break
        next_offset = source.position if rows or not inputs.offset else inputs.offset
        done = is_over or not _rest(source.stream, next_offset)
        return Chunk(
            rows=rows,
            count=len(rows),
            columns=records.columns,
            next_offset=next_offset,
            next_row=source.row,
            done=done,
            bad_rows=records.bad_rows,
        )


def _rest(stream: Any, offset: int) -> bool:
    """Whether anything but blank lines follows; looks at a bounded piece, so a true may be too much."""
    stream.seek(offset)
    return bool(stream.read(4096).strip(b"\r\n"))


def _json_chunk(inputs: ReadChunkInput, context: CapabilityContext) -> Chunk:
    stream, _ = open_source(inputs.data, inputs.text, context)
    with stream:
        stream.seek(inputs.offset)
        found: list[tuple[Any, int]] = []
        is_over = True
        for each in read_json_lines(stream):
            found.append(each)
            is_over = len(found) < inputs.limit and each[1] - inputs.offset <= _LARGEST_CHUNK_BYTES
            if not is_over:
                break
        next_offset = found[-1][1] if found else inputs.offset
        return Chunk(
            rows=[record for record, _ in found],
            count=len(found),
            columns=[],
            next_offset=next_offset,
            next_row=inputs.row + len(found),
            done=is_over or not _rest(stream, next_offset),
            bad_rows=[],
        )
