"""Finding the delimiter of a CSV file."""

from __future__ import annotations

import csv
from collections import Counter
from typing import BinaryIO

from runtara_agents_csv_xml.csv_format.options import ReadOptions

_CANDIDATES = (",", ";", "\t", "|")
_SAMPLE_BYTES = 64 * 1024
_SAMPLE_ROWS = 50


def find_delimiter(stream: BinaryIO, encoding: str, options: ReadOptions, begins_at: int) -> tuple[str, int]:
    """The delimiter, and where the rows begin: behind a line `sep=;`, which spreadsheets write and obey.

    Such a line counts where the input names no delimiter. Of the candidates of `auto`, the one counts that splits most
    rows into one and the same number of fields, two at least; a comma when none does.
    """
    sample = stream.read(_SAMPLE_BYTES).decode(encoding, "ignore")
    stream.seek(begins_at)
    first, _, _ = sample.partition("\n")
    if first[:4].lower() == "sep=" and len(first.rstrip("\r")) == 5:
        is_given = "delimiter" in options.model_fields_set and options.delimiter != "auto"
        return options.delimiter if is_given else first[4], begins_at + len((first + "\n").encode(encoding))
    if options.delimiter != "auto":
        return options.delimiter, begins_at
    lines = sample.splitlines(keepends=True)
    if len(sample.encode(encoding)) >= _SAMPLE_BYTES - 8:
        lines = lines[:-1]  # the last one is cut off
    best, best_score = ",", (0.0, 0)
    for candidate in _CANDIDATES:
        if candidate != options.quote_char:
            score = _score(lines, candidate, options)
            if score > best_score:
                best, best_score = candidate, score
    return best, begins_at


def _score(lines: list[str], delimiter: str, options: ReadOptions) -> tuple[float, int]:
    counts: Counter[int] = Counter()
    try:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=options.quote_char, escapechar=options.escape_char)
        for row in reader:
            if row and not (options.comment_char and row[0].startswith(options.comment_char)):
                counts[len(row)] += 1
            if counts.total() == _SAMPLE_ROWS:
                break
    except csv.Error:
        return 0.0, 0
    if not counts:
        return 0.0, 0
    fields, rows = counts.most_common(1)[0]
    return (rows / counts.total(), fields) if fields > 1 else (0.0, 0)
