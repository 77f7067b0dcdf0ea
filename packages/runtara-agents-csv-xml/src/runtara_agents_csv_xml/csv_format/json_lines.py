"""JSON lines in the workspace: one record a line, for what is too large to pass through the data of a workflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from pydantic_core import from_json, to_json
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import StoredFile
from runtara_sdk.workflow.json_text import decode_json, encode_json
from runtara_sdk.written_decimal import WrittenDecimal

MEDIA_TYPE = "application/x-ndjson"
LINE_INVALID = "JSON_LINES_INVALID"

_LONGEST_LINE_BYTES = 64 * 1024 * 1024
_WRITE_BYTES = 1024 * 1024
_EXACT = frozenset({str, int, bool, type(None)})
"""Types of values of which both ways of reading make the same."""


def write_json_lines(
    path: str, records: Iterable[Any], context: CapabilityContext, *, overwrite: bool = True
) -> tuple[StoredFile, int]:
    """Write records to a file of the workspace; the file, and how many there were."""
    count = 0
    waiting = bytearray()
    with context.require_workspace().create(path, overwrite=overwrite) as file:
        for record in records:
            waiting += _encoded(record)
            waiting += b"\n"
            count += 1
            if len(waiting) >= _WRITE_BYTES:
                file.write(waiting)
                waiting.clear()
                context.check()
        file.write(waiting)
        return file.commit(), count


def read_json_lines(stream: BinaryIO) -> Iterator[tuple[Any, int]]:
    """Each record, and the offset behind it.

    Raises:
        AgentError: permanent JSON_LINES_INVALID that names the line.
    """
    number, position = 0, stream.tell()
    decoded = _Decoder()
    while line := stream.readline(_LONGEST_LINE_BYTES):
        number += 1
        position += len(line)
        if not line.strip():
            continue
        try:
            yield decoded(line), position
        except ValueError as error:
            raise AgentError.permanent(
                LINE_INVALID,
                f"line {number} (up to byte {position}) is no JSON: {str(error)[:200]}",
                attributes={"line": number, "byte": position},
            ) from None


def _encoded(record: Any) -> bytes:
    if WrittenDecimal.is_used:
        return encode_json(record)
    try:
        return to_json(record)  # several times as fast
    except ValueError:  # half a surrogate pair
        return encode_json(record)


class _Decoder:
    """Reads values of lines; raises `ValueError`.

    Records without fractions are read the fast way. Fractions keep the text they were written with, which only
    `decode_json` knows; a file that has one has more, most likely.
    """

    def __init__(self) -> None:
        self._is_fast = True

    def __call__(self, line: bytes) -> Any:
        if self._is_fast:
            try:
                record = from_json(line, allow_inf_nan=False)
            except ValueError:  # so says decode_json, too, or it knows better
                return decode_json(line)
            if isinstance(record, dict) and _EXACT.issuperset(map(type, record.values())):
                return record
            self._is_fast = False
        return decode_json(line)
