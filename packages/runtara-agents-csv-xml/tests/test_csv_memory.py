"""Memory stays flat: a file ten times as large needs no more of it. Measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from runtara_agents_csv_xml import csv_agent
from runtara_sdk.agents import CapabilityContext
from runtara_sdk.agents.workspace import Workspace

context = CapabilityContext(workspace=Workspace(Path(sys.argv[1])), idempotency_key="key")
where = {"type": "operation", "op": "NE", "arguments": [
    {"valueType": "reference", "value": "country"}, {"valueType": "immediate", "value": "FR"}]}

async def run(name, **inputs):
    return await csv_agent.invoke(name, inputs, context)

async def main():
    source = {"$file": "in.csv"}
    work = sys.argv[2]
    if work == "filter":
        kept = await run("from-csv", data=source, where=where, output="file", path="kept.jsonl")
        written = await run("to-csv", data=kept["file"], output="file", path="out.csv")
        assert kept["count"] == written["rows"] > 0
    elif work == "validate":
        assert (await run("csv-validate", data=source, types={"id": "integer"}))["valid"]
    else:
        offset, row, done = 0, 0, False
        while not done:
            chunk = await run("csv-read-chunk", data=source, offset=offset, row=row)
            offset, row, done = chunk["next_offset"], chunk["next_row"], chunk["done"]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

asyncio.run(main())
"""

GROWTH_KIB = 6 * 1024


def peak_kib(directory: Path, work: str, rows: int) -> int:
    with (directory / "in.csv").open("w", encoding="utf-8") as file:
        file.write("id,name,country,note\n")
        file.writelines(
            f'{number},Name {number},{"CH" if number % 3 else "FR"},"{"x" * 80}"\n' for number in range(rows)
        )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), work],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("work", ["filter", "validate", "chunks"])
def test_memory_does_not_grow_with_the_file(work: str, tmp_path: Path) -> None:
    few, many = peak_kib(tmp_path, work, 10_000), peak_kib(tmp_path, work, 100_000)
    assert many - few < GROWTH_KIB, f"{few} KiB for 10 000 rows, {many} KiB for 100 000"
