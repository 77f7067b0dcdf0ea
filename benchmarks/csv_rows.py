"""Reading CSV beside Python's own reader and pandas: rows a second and peak memory.

    uv run python benchmarks/csv_rows.py                         a million rows of ten columns
    uv run --with pandas python benchmarks/csv_rows.py           beside pandas, too
    uv run python benchmarks/csv_rows.py --rows 100000 --json

Each way reads the same file in a process of its own and looks at every row. They take turns; of each the best run
counts. Peak memory is that of the process; the line `nothing` is the agent, imported and not called.

| Way | What it does |
|---|---|
| csv.DictReader | every row as a dictionary |
| pandas | the file as a table of texts, then as dictionaries |
| validate | `csv-validate`: every row as a dictionary whose fields are counted |
| filter | `from-csv` with a condition that one row of 17 fulfils, into JSON lines of the workspace |
| file | `from-csv` of all rows into JSON lines of the workspace |
| chunks | `csv-read-chunk` with 5 000 rows a call, as a loop of a scenario makes them, without its checkpoints |
| back | `to-csv` from the JSON lines of `file`, whose columns are named, to a file of the workspace |
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ending import run_benchmark

ROUNDS = 3
DEADLINE_SECONDS = 900

COMMON = """
import asyncio, csv, json, resource, sys, time
from pathlib import Path
path, directory, ROWS = sys.argv[1], sys.argv[2], int(sys.argv[3])
def measured(count, began):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rows": count, "seconds": time.perf_counter() - began, "peak_bytes": peak}))
def context():
    from runtara_sdk.agents import CapabilityContext
    from runtara_sdk.agents.workspace import Workspace
    return CapabilityContext(workspace=Workspace(Path(directory)))
"""

WAYS = {
    "csv.DictReader": """
began = time.perf_counter()
with open(path, newline="", encoding="utf-8") as file:
    count = sum(1 for _ in csv.DictReader(file))
measured(count, began)
""",
    "pandas": """
import pandas
began = time.perf_counter()
measured(len(pandas.read_csv(path, dtype=str).to_dict("records")), began)
""",
    "nothing": """
from runtara_agents_csv_xml import csv_agent
context()
measured(0, 0)
""",
    "validate": """
from runtara_agents_csv_xml import csv_agent
async def main():
    began = time.perf_counter()
    checked = await csv_agent.invoke("csv-validate", {"data": {"$file": "in.csv"}}, context())
    assert checked["valid"]
    measured(checked["row_count"], began)
asyncio.run(main())
""",
    "filter": """
from runtara_agents_csv_xml import csv_agent
async def main():
    used = context()
    began = time.perf_counter()
    where = {"type": "operation", "op": "EQ", "arguments": [
        {"valueType": "reference", "value": "qty"}, {"valueType": "immediate", "value": "3"}]}
    inputs = {"data": {"$file": "in.csv"}, "where": where, "output": "file", "path": "some.jsonl"}
    await csv_agent.invoke("from-csv", inputs, used)
    measured(ROWS, began)
asyncio.run(main())
""",
    "chunks": """
from runtara_agents_csv_xml import csv_agent
async def main():
    used, offset, row, count, done = context(), 0, 0, 0, False
    began = time.perf_counter()
    while not done:
        inputs = {"data": {"$file": "in.csv"}, "offset": offset, "row": row, "limit": 5000}
        chunk = await csv_agent.invoke("csv-read-chunk", inputs, used)
        count += chunk["count"]
        offset, row, done = chunk["next_offset"], chunk["next_row"], chunk["done"]
    measured(count, began)
asyncio.run(main())
""",
    "file": """
from runtara_agents_csv_xml import csv_agent
async def main():
    used = context()
    began = time.perf_counter()
    inputs = {"data": {"$file": "in.csv"}, "output": "file", "path": "out.jsonl"}
    measured((await csv_agent.invoke("from-csv", inputs, used))["count"], began)
asyncio.run(main())
""",
    "back": """
from runtara_agents_csv_xml import csv_agent
async def main():
    used = context()
    began = time.perf_counter()
    columns = "id sku name qty price currency note city country at".split()
    inputs = {"data": {"$file": "out.jsonl"}, "columns": columns, "output": "file", "path": "out.csv"}
    measured((await csv_agent.invoke("to-csv", inputs, used))["rows"], began)
asyncio.run(main())
""",
}


def write_file(path: Path, rows: int) -> None:
    """Ten columns: texts, numbers, a quoted field."""
    with path.open("w", encoding="utf-8") as file:
        file.write("id,sku,name,qty,price,currency,note,city,country,at\n")
        for number in range(rows):
            file.write(
                f"{number},SKU-{number % 9973},Article number {number},{number % 17},{number % 1000}.5,EUR,"
                f'"a note, with a comma {number}",Zürich,CH,2026-11-27T10:{number % 60:02d}:00\n'
            )


def measure(way: str, path: Path, rows: int) -> dict[str, float] | None:
    """One run in a process of its own; None where its library is missing."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + WAYS[way], str(path), str(path.parent), str(rows)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        if "No module named" in done.stderr:
            return None
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the file [default: 1000000]")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "in.csv"
        write_file(path, options.rows)
        for _ in range(ROUNDS):
            for way in WAYS:
                figures = measure(way, path, options.rows)
                if figures is not None and figures["seconds"] < best.get(way, {}).get("seconds", float("inf")):
                    best[way] = figures
    base = best["csv.DictReader"]["seconds"]
    for figures in best.values():
        figures["per_second"] = figures["rows"] / figures["seconds"]
        figures["ratio"] = base / figures["seconds"]
    if options.json:
        print(json.dumps(best, indent=2))
        return
    print(f"{'':<16}{'rows/s':>12}{'/ DictReader':>14}{'peak MB':>9}")
    for way in [way for way in WAYS if way in best]:
        figures = best[way]
        speed = f"{figures['per_second']:>12,.0f}{figures['ratio']:>14.2f}" if figures["rows"] else " " * 26
        print(f"{way:<16}{speed}{figures['peak_bytes'] / 1e6:>9.0f}")
    for way in WAYS.keys() - best.keys():
        print(f"{way} is not installed: uv run --with {way} python benchmarks/csv_rows.py")


if __name__ == "__main__":
    run_benchmark(main)
