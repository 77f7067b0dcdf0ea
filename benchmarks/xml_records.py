"""Records of a large XML file beside lxml's iterparse, used directly: records a second and peak memory.

    uv run python benchmarks/xml_records.py                         a file of 200 MB
    uv run python benchmarks/xml_records.py --megabytes 20 --json

Each way reads the same file in a process of its own. They take turns; of each the best run counts. `iterparse` makes
the same JSON lines by hand, with the shape of these records written into its code and the json module; `elements`
only counts what iterparse finds. `extract` is `xml-extract` into JSON lines of the workspace; `filter` is the same with
a condition that two records of three meet; `back` is `to-xml` from those lines; `whole` is `from-xml` of a tenth of the
file, whose result is the data of a workflow.
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
import asyncio, json, resource, sys, time
from pathlib import Path
path, directory = sys.argv[1:3]
def measured(count, began, cpu):
    used = {"records": count, "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(used | {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
def start():
    return time.perf_counter(), time.process_time()
"""

ITERPARSE = """
from lxml import etree
def elements():
    for _, element in etree.iterparse(path, events=("end",), tag="order", resolve_entities=False):
        yield element
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
"""

AGENT = """
from runtara_sdk.agents import CapabilityContext
from runtara_sdk.agents.workspace import Workspace
from runtara_agents_csv_xml import xml_agent
async def call(capability, **inputs):
    began = start()
    result = await xml_agent.invoke(capability, inputs, CapabilityContext(workspace=Workspace(Path(directory))))
    return result, began
def extract(**more):
    inputs = {"data": {"$file": "in.xml"}, "path": "/orders/order", "output": "file", **more}
    result, began = asyncio.run(call("xml-extract", **inputs))
    measured(result["count"], *began)
"""

WAYS = {
    "iterparse": ITERPARSE
    + """
def value(element):
    found = {"@attributes": dict(element.attrib)} if element.attrib else {}
    for child in element:
        inner = value(child) if len(child) else (child.text or "").strip() or {}
        held = found.get(child.tag)
        if held is None:
            found[child.tag] = inner
        elif isinstance(held, list):
            held.append(inner)
        else:
            found[child.tag] = [held, inner]
    return found
began, count = start(), 0
with open(Path(directory) / "iterparse.jsonl", "w", encoding="utf-8") as file:
    for element in elements():
        file.write(json.dumps(value(element), ensure_ascii=False, separators=(",", ":")) + "\\n")
        count += 1
measured(count, *began)
""",
    "elements": ITERPARSE
    + """
began = start()
measured(sum(1 for _ in elements()), *began)
""",
    "extract": AGENT + 'extract(save_to="out.jsonl")',
    "filter": AGENT
    + """
extract(save_to="kept.jsonl", where={"type": "operation", "op": "EQ", "arguments": [
    {"valueType": "reference", "value": "state"}, {"valueType": "immediate", "value": "open"}]})
""",
    "back": AGENT
    + """
inputs = {"data": {"$file": "out.jsonl"}, "root": "orders", "item_name": "order", "output": "file", "path": "out.xml"}
result, began = asyncio.run(call("to-xml", **inputs))
measured(sum(1 for _ in open(Path(directory) / "out.jsonl", "rb")), *began)
""",
    "whole": AGENT
    + """
result, began = asyncio.run(call("from-xml", data={"$file": "tenth.xml"}, max_elements=10_000_000))
measured(len(result["orders"]["order"]), *began)
""",
}


def write_file(path: Path, size: int) -> int:
    """Orders with an attribute, texts, two lines and a comment; returns how many."""
    count = written = 0
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<orders>\n')
        while written < size:
            written += file.write(
                f'  <order id="{count}">\n    <state>{"open" if count % 3 else "done"}</state>\n'
                f"    <customer>Customer number {count % 9973}</customer>\n    <city>Zürich</city>\n"
                f"    <line><sku>SKU-{count % 977}</sku><qty>{count % 17}</qty><price>{count % 999}.50</price></line>\n"
                f"    <line><sku>SKU-{count % 433}</sku><qty>{count % 7}</qty><price>{count % 100}.25</price></line>\n"
                f"    <note>a note of some words &amp; more, {count}</note>\n  </order>\n"
            )
            count += 1
        file.write("</orders>\n")
    return count


def measure(way: str, path: Path) -> dict[str, float]:
    """One run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + WAYS[way], str(path), str(path.parent)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{way}: {done.stderr}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200, help="size of the file [default: 200]")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"runs of each way [default: {ROUNDS}]")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "in.xml"
        expected = write_file(path, options.megabytes * 1_000_000)
        write_file(path.with_name("tenth.xml"), options.megabytes * 100_000)
        for _ in range(options.rounds):
            for way in WAYS:
                figures = measure(way, path)
                if figures["seconds"] < best.get(way, {}).get("seconds", float("inf")):
                    best[way] = figures
        same = path.with_name("out.jsonl").read_bytes() == path.with_name("iterparse.jsonl").read_bytes()
        if best["extract"]["records"] != expected or not same:
            raise SystemExit("the ways read different records")
    for figures in best.values():
        figures["per_second"] = figures["records"] / figures["seconds"]
        figures["ratio"] = figures["per_second"] / (best["iterparse"]["records"] / best["iterparse"]["seconds"])
        figures["cpu_ratio"] = (
            best["iterparse"]["cpu_seconds"]
            / best["iterparse"]["records"]
            * figures["records"]
            / figures["cpu_seconds"]
        )
    if options.json:
        print(json.dumps(best, indent=2))
        return
    print(f"{'':<12}{'records/s':>12}{'/ iterparse':>13}{'by cpu':>9}{'peak MB':>9}")
    for way, figures in best.items():
        print(
            f"{way:<12}{figures['per_second']:>12,.0f}{figures['ratio']:>13.2f}{figures['cpu_ratio']:>9.2f}"
            f"{figures['peak_bytes'] / 1e6:>9.0f}"
        )


if __name__ == "__main__":
    run_benchmark(main)
