"""Files that fit no memory: from an SFTP server through parse and filter and back, in a process that stays small.

RUNTARA_LARGE_ROWS and RUNTARA_LARGE_XML_MB make them as large as they are in practice (1 000 000 and 200).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from runtara_compiler import CompilationInput, compile_scenario

from tests.e2e.test_all_agents_native import agent, immediate, reference
from tests.integration.sftp_agent.sftp_server import SftpServer, running_server

ROWS = int(os.environ.get("RUNTARA_LARGE_ROWS", "200000"))
XML_BYTES = int(os.environ.get("RUNTARA_LARGE_XML_MB", "30")) * 1_000_000
LARGEST_MEMORY = 200 * 1024 * 1024
RUN_SECONDS = 900

pytestmark = pytest.mark.timeout(2 * RUN_SECONDS)

FEW = {"type": "operation", "op": "EQ", "arguments": [reference("group"), immediate("7")]}


def scenario(parse: dict[str, Any], write: dict[str, Any]) -> dict[str, Any]:
    """Download, parse and filter into JSON lines, write, upload."""
    order = ["fetch", "parse", "write", "send", "finish"]
    return {
        "name": "Large files",
        "entryPoint": "fetch",
        "steps": {
            "fetch": agent(
                "sftp",
                "sftp-download-file",
                {"path": reference("data.source"), "save_to": immediate("in/large")},
                connectionId="partner",
            ),
            "parse": parse,
            "write": write,
            "send": agent(
                "sftp",
                "sftp-upload-file",
                {"path": reference("data.target"), "data": reference("steps.write.outputs.file")},
                connectionId="partner",
            ),
            "finish": {
                "stepType": "Finish",
                "inputMapping": {
                    "count": reference("steps.parse.outputs.count"),
                    "sent": reference("steps.send.outputs"),
                },
            },
        },
        "executionPlan": [{"fromStep": first, "toStep": second} for first, second in itertools.pairwise(order)],
    }


FETCHED = reference("steps.fetch.outputs.file")
CSV = scenario(
    agent(
        "csv",
        "from-csv",
        {
            "data": FETCHED,
            "where": immediate(FEW),
            "output": immediate("file"),
            "path": immediate("work/rows.jsonl"),
        },
    ),
    agent(
        "csv",
        "to-csv",
        {"data": reference("steps.parse.outputs.file"), "output": immediate("file"), "path": immediate("out/rows.csv")},
    ),
)
XML = scenario(
    agent(
        "xml",
        "xml-extract",
        {
            "data": FETCHED,
            "path": immediate("/orders/order"),
            "where": immediate(FEW),
            "output": immediate("file"),
            "save_to": immediate("work/orders.jsonl"),
        },
    ),
    agent(
        "xml",
        "to-xml",
        {
            "data": reference("steps.parse.outputs.file"),
            "root": immediate("orders"),
            "item_name": immediate("order"),
            "output": immediate("file"),
            "path": immediate("out/orders.xml"),
        },
    ),
)

MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr[-2000:], "peak": peak}))
"""


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with running_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def connection_service(sftp: SftpServer) -> Iterator[str]:
    content = json.dumps(sftp.connection(progress_timeout_ms=60_000)).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def write_csv(path: Path) -> int:
    with path.open("w") as file:
        file.write("id,group,name,price,note\n")
        for number in range(ROWS):
            file.write(f'{number},{number % 100},Article {number},{number % 1000}.50,"a note, and more {number}"\n')
    return len(range(7, ROWS, 100))


def write_xml(path: Path) -> int:
    with path.open("w") as file:
        file.write("<orders>\n")
        number = 0
        while file.tell() < XML_BYTES:
            for _ in range(1000):
                file.write(
                    f'<order id="{number}"><group>{number % 100}</group><name>Article {number}</name>'
                    f"<line><sku>A{number}</sku><count>{number % 9}</count></line></order>\n"
                )
                number += 1
        file.write("</orders>\n")
    return number // 100


@pytest.mark.parametrize("kind", ["csv", "xml"])
def test_memory_stays_small(kind: str, sftp: SftpServer, connection_service: str, tmp_path: Path) -> None:
    source, target = sftp.files / f"large.{kind}", sftp.files / f"few.{kind}"
    expected = write_csv(source) if kind == "csv" else write_xml(source)
    given = CompilationInput(
        tenant_id="acme",
        scenario_id=f"large-{kind}",
        version=1,
        execution_graph=CSV if kind == "csv" else XML,
        target="python",
        data_dir=tmp_path / "compiled",
    )
    artifact = asyncio.run(compile_scenario(given, progress=print)).binary_path
    command = [sys.executable, "-c", MEASURED, sys.executable, str(artifact)]
    command += ["--input", json.dumps({"source": str(source), "target": str(target)})]
    command += ["--server", f"sqlite:///{tmp_path}/run.db"]
    variables = {**os.environ, "CONNECTION_SERVICE_URL": connection_service}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=RUN_SECONDS, check=True)
    measured = json.loads(done.stdout)
    assert measured["code"] == 0, measured["err"]
    output = json.loads(measured["out"])
    assert output == {"count": expected, "sent": target.stat().st_size}
    print(f"{kind}: {source.stat().st_size / 1e6:.0f} MB, peak {measured['peak'] / 1e6:.0f} MB")
    assert measured["peak"] < LARGEST_MEMORY
    content = target.read_text()
    assert content.count("Article ") == expected
