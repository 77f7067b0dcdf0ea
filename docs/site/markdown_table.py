"""Tables of Markdown, and what stands in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; a column in which nothing is said is left out, but for the first."""
    filled = [list(row) for row in rows]
    kept = [at for at in range(len(head)) if at == 0 or any(row[at] for row in filled)]
    yield "| " + " | ".join(head[at] for at in kept) + " |"
    yield "|" + "---|" * len(kept)
    for row in filled:
        yield "| " + " | ".join(row[at].replace("|", "\\|").replace("\n", " ") for at in kept) + " |"


def code(value: Any) -> str:
    """A JSON value as a code span."""
    text = json.dumps(value, ensure_ascii=False)
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def sentences(*parts: str | None) -> str:
    """What is said of the parts, separated by blanks."""
    return " ".join(part for part in parts if part)
