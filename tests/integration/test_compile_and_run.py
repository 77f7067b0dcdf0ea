"""A scenario compiled to an archive, run as a process on a database file: calls made once, whatever happens to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from runtara_compiler import CompilationInput, compile_scenario
from runtara_sdk import RuntaraSdk
from runtara_sdk.models import StatusReport

DEADLINE_SECONDS = 60


class OrderService:
    """A service that counts its calls, and holds them back at paths that a test blocks."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.bodies: dict[str, Any] = {}
        self.failures: Counter[str] = Counter()
        self.arrived: dict[str, threading.Event] = {}
        self.released = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                service.calls[self.path] += 1
                service.bodies[self.path] = body
                if self.path in service.arrived:
                    service.arrived[self.path].set()
                    service.released.wait(DEADLINE_SECONDS)
                status = 200
                if service.failures[self.path]:
                    service.failures[self.path] -= 1
                    status = 503
                answer = json.dumps({"path": self.path, "received": body}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def block(self, path: str) -> threading.Event:
        """Hold back calls of `path`; the event is set by the first."""
        self.arrived[path] = threading.Event()
        return self.arrived[path]

    def unblock(self) -> None:
        self.arrived.clear()
        self.released.set()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[OrderService]:
    running = OrderService()
    yield running
    running.close()


def order_scenario(url: str) -> dict[str, Any]:
    return {
        "name": "Order Processing",
        "steps": {
            "validate": {
                "stepType": "Agent",
                "agentId": "http",
                "capabilityId": "request",
                "retryDelay": 10,
                "inputMapping": {
                    "url": {"valueType": "immediate", "value": f"{url}/validate"},
                    "body": {"valueType": "reference", "value": "data.order"},
                },
            },
            "notify": {
                "stepType": "Agent",
                "agentId": "http",
                "capabilityId": "request",
                "retryDelay": 10,
                "inputMapping": {"url": {"valueType": "immediate", "value": f"{url}/notify"}},
            },
            "finish": {
                "stepType": "Finish",
                "inputMapping": {
                    "validated": {"valueType": "reference", "value": "steps.validate.outputs.body"},
                    "notified": {"valueType": "reference", "value": "steps.notify.outputs.body"},
                },
            },
        },
        "executionPlan": [
            {"fromStep": "validate", "toStep": "notify"},
            {"fromStep": "notify", "toStep": "finish"},
        ],
    }


class Instance:
    """One instance of an artifact, on a database file of its own."""

    def __init__(self, artifact: Path, directory: Path, envelope: Any) -> None:
        self._artifact = artifact
        self._database = f"sqlite:///{directory / 'run.db'}"
        self._input = directory / "input.json"
        self._input.write_text(json.dumps(envelope))

    @asynccontextmanager
    async def started(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            self._artifact,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "RUNTARA_INSTANCE_ID": "i-1",
                "RUNTARA_TENANT_ID": "acme",
                "RUNTARA_SERVER_ADDR": self._database,
                "RUNTARA_INPUT_PATH": str(self._input),
            },
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def run(self) -> tuple[int, str]:
        """Run to the end; exit code and standard error."""
        async with self.started() as process, asyncio.timeout(DEADLINE_SECONDS):
            out, err = await process.communicate()
            assert out == b""
            assert process.returncode is not None
            return process.returncode, err.decode()

    async def status(self) -> StatusReport:
        sdk = RuntaraSdk.embedded(self._database, "i-1", "acme")
        await sdk.connect()
        try:
            return await sdk.get_status()
        finally:
            await sdk.close()

    async def output(self) -> Any:
        report = await self.status()
        assert report.status == "completed", report
        assert report.output is not None
        return json.loads(report.output)


async def compiled(document: dict[str, Any], directory: Path) -> Path:
    result = await compile_scenario(
        CompilationInput("acme", "order", 1, document, data_dir=directory / "data", target="python")
    )
    return result.binary_path


async def test_order_is_processed(service: OrderService, tmp_path: Path) -> None:
    artifact = await compiled(order_scenario(service.url), tmp_path)
    instance = Instance(artifact, tmp_path, {"data": {"order": {"id": 7}}})
    assert await instance.run() == (0, "")
    assert await instance.output() == {
        "validated": {"path": "/validate", "received": {"id": 7}},
        "notified": {"path": "/notify", "received": None},
    }
    assert service.calls == {"/validate": 1, "/notify": 1}


async def test_transient_failures_are_retried(service: OrderService, tmp_path: Path) -> None:
    service.failures["/validate"] = 2
    instance = Instance(await compiled(order_scenario(service.url), tmp_path), tmp_path, {"order": {"id": 7}})
    assert (await instance.run())[0] == 0
    assert service.calls == {"/validate": 3, "/notify": 1}


async def test_failure_is_a_json_error(service: OrderService, tmp_path: Path) -> None:
    service.failures["/notify"] = 100
    instance = Instance(await compiled(order_scenario(service.url), tmp_path), tmp_path, {"order": {}})
    code, err = await instance.run()
    assert code == 1
    assert err.startswith("error: step 'notify': ")
    assert len(err.splitlines()) == 1
    report = await instance.status()
    assert report.status == "failed"
    failure = json.loads(report.error or "")
    assert failure["code"] == "HTTP_SERVICE_UNAVAILABLE"
    assert (failure["stepId"], failure["agentId"], failure["capabilityId"]) == ("notify", "http", "request")
    assert failure["attempts"] == 4


@pytest.mark.parametrize(("how", "exit_code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
async def test_stopped_program_goes_on_where_it_was(
    service: OrderService, tmp_path: Path, how: signal.Signals, exit_code: int
) -> None:
    instance = Instance(await compiled(order_scenario(service.url), tmp_path), tmp_path, {"order": {"id": 7}})
    arrived = service.block("/notify")
    async with instance.started() as process, asyncio.timeout(DEADLINE_SECONDS):
        assert await asyncio.to_thread(arrived.wait, DEADLINE_SECONDS)
        process.send_signal(how)
        assert await process.wait() == exit_code
    assert (await instance.status()).status == "running"
    service.unblock()
    assert (await instance.run())[0] == 0
    assert service.calls == {"/validate": 1, "/notify": 2}
    assert (await instance.output())["validated"]["received"] == {"id": 7}


async def test_delay_is_waited_once(tmp_path: Path) -> None:
    document = {
        "steps": {
            "nap": {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 300}},
            "finish": {
                "stepType": "Finish",
                "inputMapping": {"outputs": {"valueType": "reference", "value": "steps.nap.outputs"}},
            },
        },
        "executionPlan": [{"fromStep": "nap", "toStep": "finish"}],
    }
    instance = Instance(await compiled(document, tmp_path), tmp_path, {})
    assert await instance.run() == (0, "")
    assert await instance.output() == {"duration_ms": 300}


async def test_bad_surroundings_take_one_line(tmp_path: Path) -> None:
    document = {"steps": {"finish": {"stepType": "Finish"}}}
    artifact = await compiled(document, tmp_path)
    for changes in (
        {"RUNTARA_INSTANCE_ID": ""},
        {"RUNTARA_SERVER_ADDR": "sqlite:////proc/nowhere/run.db"},
    ):
        process = await asyncio.create_subprocess_exec(
            artifact,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "RUNTARA_INSTANCE_ID": "i", "RUNTARA_TENANT_ID": "acme", **changes},
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            _, err = await process.communicate()
        assert process.returncode == 1
        assert err.startswith(b"error: ")
        assert len(err.splitlines()) == 1
