"""Memory stays flat: a document five times as large needs no more of it. Measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from runtara_agents_csv_xml import compression_agent, csv_agent, xml_agent
from runtara_sdk.agents import CapabilityContext
from runtara_sdk.agents.workspace import Workspace

context = CapabilityContext(workspace=Workspace(Path(sys.argv[1])))
where = {"type": "operation", "op": "NE", "arguments": [
    {"valueType": "reference", "value": "country"}, {"valueType": "immediate", "value": "FR"}]}

async def main():
    source, work = {"$file": "in.xml"}, sys.argv[2]
    if work == "filter":
        inputs = {"data": source, "path": "/orders/order", "where": where, "output": "file", "save_to": "kept.jsonl"}
        kept = await xml_agent.invoke("xml-extract", inputs, context)
        inputs = {"data": kept["file"], "root": "orders", "item_name": "order", "output": "file", "path": "out.xml"}
        await xml_agent.invoke("to-xml", inputs, context)
        assert kept["count"] > 0
    elif work == "nothing":
        inputs = {"data": source, "path": "//nothing", "output": "file", "save_to": "kept.jsonl"}
        assert (await xml_agent.invoke("xml-extract", inputs, context))["count"] == 0
    else:
        inputs = {"files": [{"file": source}], "format": "tar.gz", "compression_level": 1, "path": "in.tar.gz"}
        packed = await compression_agent.invoke("create-archive", inputs, context)
        inputs = {"archive": packed, "directory": "back"}
        assert (await compression_agent.invoke("extract-archive", inputs, context))["count"] == 1
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

asyncio.run(main())
"""

GROWTH_KIB = 5 * 1024


def peak_kib(directory: Path, work: str, megabytes: int) -> int:
    with (directory / "in.xml").open("w", encoding="utf-8") as file:
        file.write("<orders>")
        for number in range(megabytes * 5000):
            country = "CH" if number % 3 else "FR"
            file.write(
                f'<order id="{number}"><name>Name {number}</name><country>{country}</country>\n'
                f"<!-- {number} --><line><sku>{number % 97}</sku><note>{'x' * 90}</note></line></order>\n"
            )
        file.write("</orders>")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), work],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("work", ["filter", "nothing", "archive"])
def test_memory_does_not_grow_with_the_document(work: str, tmp_path: Path) -> None:
    few, many = peak_kib(tmp_path, work, 6), peak_kib(tmp_path, work, 30)
    assert many - few < GROWTH_KIB, f"{few} KiB for 6 MB, {many} KiB for 30 MB"
