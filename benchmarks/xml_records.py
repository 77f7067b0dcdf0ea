"""Records of a large XML file beside lxml's iterparse used directly: MB a second and peak memory.

    uv run python benchmarks/xml_records.py              200 MB
    uv run python benchmarks/xml_records.py --mb 50 --json

Each way reads the same file in a process of its own and makes an object of every record. They take turns; of each the
best run counts. `extract` is `xml-extract` into JSON lines of the workspace; `iterparse` does the same by hand, writing
its objects with the json module.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 3
DEADLINE_SECONDS = 900

COMMON = """
import asyncio, json, resource, sys, time
from pathlib import Path
path, directory = sys.argv[1:3]
def measured(count, began):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"records": count, "seconds": time.perf_counter() - began, "peak_bytes": peak}))
"""

WAYS = {
    "iterparse": """
from lxml import etree
def value(element):
    result = {"@attributes": dict(element.attrib)} if element.attrib else {}
    for child in element:
        result[child.tag] = value(child) if len(child) or child.attrib else (child.text or "").strip()
    return result
began, count = time.perf_counter(), 0
with open(f"{directory}/direct.jsonl", "w") as out:
    for _, element in etree.iterparse(path, tag="order"):
        out.write(json.dumps(value(element), ensure_ascii=False) + "\\n")
        count += 1
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
measured(count, began)
""",
    "extract": """
from runtara_agents_csv_xml import xml_agent
from runtara_sdk.agents import CapabilityContext
from runtara_sdk.agents.workspace import Workspace
async def main():
    context = CapabilityContext(workspace=Workspace(Path(directory)))
    began = time.perf_counter()
    inputs = {"data": {"$file": "in.xml"}, "path": "/orders/order", "output": "file", "save_to": "out.jsonl"}
    measured((await xml_agent.invoke("xml-extract", inputs, context))["count"], began)
asyncio.run(main())
""",
}


def write_file(path: Path, size: int) -> None:
    """Orders of six elements and an attribute."""
    with path.open("w", encoding="utf-8") as file:
        file.write("<orders>\n")
        number = 0
        while file.tell() < size:
            for _ in range(1000):
                file.write(
                    f'<order id="{number}"><group>{number % 100}</group><name>Article number {number}</name>'
                    f"<line><sku>SKU-{number}</sku><count>{number % 9}</count></line><note>nothing</note></order>\n"
                )
                number += 1
        file.write("</orders>\n")


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
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=200, help="size of the file, MB [default: 200]")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "in.xml"
        write_file(path, options.mb * 1_000_000)
        for _ in range(ROUNDS):
            for way in WAYS:
                figures = measure(way, path)
                if figures["seconds"] < best.get(way, {}).get("seconds", float("inf")):
                    best[way] = figures
        size = path.stat().st_size
    for figures in best.values():
        figures["mb_per_second"] = size / 1e6 / figures["seconds"]
        figures["ratio"] = best["iterparse"]["seconds"] / figures["seconds"]
    if options.json:
        print(json.dumps(best, indent=2))
        return
    print(f"{'':<12}{'MB/s':>8}{'records/s':>12}{'/ iterparse':>13}{'peak MB':>9}")
    for way, figures in best.items():
        rate = figures["records"] / figures["seconds"]
        peak = figures["peak_bytes"] / 1e6
        print(f"{way:<12}{figures['mb_per_second']:>8.1f}{rate:>12,.0f}{figures['ratio']:>13.2f}{peak:>9.0f}")


if __name__ == "__main__":
    main()
