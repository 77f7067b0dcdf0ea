"""The table in CONTRIBUTING.md names a test for each of the 24 rows, and each named test exists."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_row_has_its_test() -> None:
    text = (HERE.parents[1] / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (\d[\d, ]*) .*? \| (.*) \|$", text, re.MULTILINE)
    numbers = [int(number) for row, _ in rows for number in row.split(", ")]
    assert numbers == list(range(1, 25))
    sources = "\n".join(path.read_text() for path in HERE.glob("test_*.py"))
    for _, tests in rows:
        named = re.findall(r"`(test_\w+?)(?:\[(\w+?)_?\.\.\.\]|_?\.\.\.)?`", tests)
        assert named
        for function, case in named:
            assert f"def {function}" in sources
            assert case in sources
