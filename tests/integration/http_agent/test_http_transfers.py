"""Downloads that go on, uploads that stream, polls that wait, and GraphQL."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.trial import Trial, try_workflow

from .http_server import Received, Server
from .test_http_paginate import workflow

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "w"), idempotency_key="t/i::step")


class Files:
    """A file at /file that a range can be asked of, and that breaks off when it is told to."""

    def __init__(self, server: Server) -> None:
        self.content = CONTENT
        self.tag: str | None = '"v1"'
        self.breaks_after: int | None = None
        self.takes_ranges = True
        server.handlers["/file"] = self.answer

    async def answer(self, request: Received, writer: asyncio.StreamWriter) -> Any:
        begin = 0
        asked = request.header("Range")
        same = request.header("If-Range") in (None, self.tag)
        if asked and self.takes_ranges and same:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
        part = self.content[begin:]
        lines = [f"HTTP/1.1 {206 if begin else 200} X", f"Content-Length: {len(part)}", "Content-Type: text/csv"]
        if self.tag:
            lines.append(f"ETag: {self.tag}")
        if begin:
            lines.append(f"Content-Range: bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        if self.breaks_after is not None and len(part) > self.breaks_after:
            writer.write(part[: self.breaks_after])
            await writer.drain()
            return None
        writer.write(part)
        await writer.drain()
        return None


async def download(http: AgentDefinition, server: Server, context: CapabilityContext, **inputs: Any) -> Any:
    return await http.invoke("http-download", {"url": f"{server.url}/file", "save_to": "in/file", **inputs}, context)


async def test_a_download(http: AgentDefinition, server: Server, context: CapabilityContext) -> None:
    Files(server)
    digest = hashlib.sha256(CONTENT).hexdigest()
    result = await download(http, server, context, expected_sha256=digest)
    assert (result["size"], result["sha256"], result["resumed_from"]) == (len(CONTENT), digest, 0)
    assert result["file"] == {
        "$file": "in/file",
        "filename": "file",
        "size": len(CONTENT),
        "sha256": digest,
        "mimeType": "text/csv",
    }
    with context.require_workspace().open("in/file") as stream:
        assert stream.read() == CONTENT
    with pytest.raises(AgentError, match="HTTP_CHECKSUM_MISMATCH"):
        await download(http, server, context, expected_sha256="0" * 64)
    with pytest.raises(AgentError, match="HTTP_RESPONSE_TOO_LARGE"):
        await download(http, server, context, max_response_bytes=1000)
    server.answer("/missing", status=404)
    with pytest.raises(AgentError, match="HTTP_NOT_FOUND"):
        await download(http, server, context, url=f"{server.url}/missing")


async def test_a_download_goes_on_where_it_broke_off(
    http: AgentDefinition, server: Server, context: CapabilityContext
) -> None:
    files = Files(server)
    files.breaks_after = 2_500_000
    with pytest.raises(AgentError) as caught:
        await download(http, server, context)
    assert caught.value.retryable
    files.breaks_after = None
    result = await download(http, server, context)
    begun = result["resumed_from"]
    assert 2_000_000 < begun <= 2_500_000, "what was on the disk"
    assert result["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert server.received[-1].header("Range") == f"bytes={begun}-"
    assert server.received[-1].header("If-Range") == '"v1"'


@pytest.mark.parametrize("change", ["another version", "no ranges", "no tag"])
async def test_a_file_that_cannot_be_gone_on_with_is_begun_anew(
    change: str, http: AgentDefinition, server: Server, context: CapabilityContext
) -> None:
    files = Files(server)
    if change == "no tag":
        files.tag = None
    files.breaks_after = 2_500_000
    with pytest.raises(AgentError):
        await download(http, server, context)
    files.breaks_after = None
    if change == "another version":
        files.tag, files.content = '"v2"', CONTENT[::-1]
    files.takes_ranges = change != "no ranges"
    result = await download(http, server, context)
    assert (result["resumed_from"], result["sha256"]) == (0, hashlib.sha256(files.content).hexdigest())


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="report 1.csv"', "downloads/report 1.csv"),
        ("attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf", "downloads/résumé.pdf"),
        ('attachment; filename="../../etc/passwd"', "downloads/passwd"),
        ('attachment; filename="..\\\\..\\\\x"', "downloads/x"),
        ("", "downloads/file"),
    ],
)
async def test_names_of_downloads_lead_nowhere(
    disposition: str, name: str, http: AgentDefinition, server: Server, context: CapabilityContext
) -> None:
    server.answer("/file", body=b"x", Content_Disposition=disposition)
    result = await download(http, server, context, save_to=None)
    assert result["file"]["$file"] == name


async def test_a_download_survives_every_death(server: Server) -> None:
    Files(server)
    made = workflow({"url": f"{server.url}/file", "save_to": "in/file"}, "http-download")
    outcome = await try_workflow(made, Trial())
    assert outcome.status is InstanceStatus.COMPLETED, outcome.error
    assert outcome.output["size"] == len(CONTENT)


# Uploads


async def test_an_upload_streams_a_file(http: AgentDefinition, server: Server, context: CapabilityContext) -> None:
    with context.require_workspace().create("out.csv") as file:
        file.write(CONTENT)
        file.commit()

    async def upload(**inputs: Any) -> Any:
        given = {"url": f"{server.url}/up", "file": {"$file": "out.csv", "mimeType": "text/csv"}, **inputs}
        return await http.invoke("http-upload", given, context)

    result = await upload(checksum="sha256")
    sent = server.received[-1]
    assert (sent.method, sent.body, sent.header("Content-Length")) == ("PUT", CONTENT, str(len(CONTENT)))
    assert (sent.header("Content-Type"), sent.header("Idempotency-Key")) == ("text/csv", "t/i::step")
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert sent.header("Content-Digest") == f"sha-256=:{digest}:"
    assert (result["size"], result["response"]["status_code"]) == (len(CONTENT), 200)
    await upload(checksum="md5", checksum_header="Content-MD5", method="POST")
    assert server.received[-1].header("Content-MD5") == base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    await upload(checksum="sha256", checksum_header="x-amz-content-sha256")
    assert server.received[-1].header("x-amz-content-sha256") == hashlib.sha256(CONTENT).hexdigest()
    await upload(as_form=True, fields={"kind": "orders"}, field_name="upload")
    form = server.received[-1]
    assert form.method == "POST"
    assert (form.header("Content-Type") or "").startswith("multipart/form-data; boundary=")
    assert b'name="kind"' in form.body
    assert b'name="upload"; filename="out.csv"' in form.body
    assert CONTENT in form.body
    with pytest.raises(AgentError, match="HTTP_INVALID_OPTION"):
        await upload(body="x")
    with pytest.raises(AgentError, match="FILE_NOT_FOUND"):
        await upload(file={"$file": "nowhere"})


# Polling


def job(server: Server, *answers: Any) -> None:
    waiting = list(answers)

    async def handler(_request: Received, _writer: asyncio.StreamWriter) -> Any:
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer).encode())

    server.handlers["/job"] = handler


DONE = {
    "type": "operation",
    "op": "EQ",
    "arguments": [{"valueType": "reference", "value": "body.state"}, {"valueType": "immediate", "value": "done"}],
}
# The arguments are a list of JSON.
FAILED = {**DONE, "arguments": [DONE["arguments"][0], {"valueType": "immediate", "value": "failed"}]}  # type: ignore[index]


async def test_a_poll_waits_without_a_process(server: Server) -> None:
    job(server, {"state": "new"}, {"state": "new"}, (503, {}, b""), {"state": "done", "n": 7})
    inputs = {"url": f"{server.url}/job", "until": DONE, "interval_ms": 60_000}
    outcome = await try_workflow(workflow(inputs, "http-poll"), Trial())
    assert outcome.output["response"]["body"] == {"state": "done", "n": 7}
    assert (outcome.output["attempts"], outcome.launches, len(server.received)) == (4, 4, 4)
    assert 180_000 <= outcome.passed_ms < 190_000


async def test_a_poll_ends_at_its_deadline(server: Server) -> None:
    job(server, {"state": "new"})
    inputs = {"url": f"{server.url}/job", "until": DONE, "interval_ms": 60_000, "wait_ms": 600_000}
    outcome = await try_workflow(workflow(inputs, "http-poll"), Trial())
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["category"]) == ("HTTP_POLL_TIMEOUT", "permanent")
    assert outcome.passed_ms == pytest.approx(600_000, abs=2000)
    assert len(server.received) == 11, "one at the beginning, and one a minute"


async def test_waits_get_longer_and_heed_the_server(server: Server) -> None:
    job(server, {"state": "new"}, (202, {"Retry-After": "500"}, b"{}"), {"state": "done"})
    inputs = {"url": f"{server.url}/job", "until": DONE, "interval_ms": 40_000, "backoff": 2.0}
    outcome = await try_workflow(workflow(inputs, "http-poll"), Trial())
    assert outcome.output["response"]["body"] == {"state": "done"}
    assert 540_000 <= outcome.passed_ms < 545_000


async def test_polls_that_fail(http: AgentDefinition, server: Server) -> None:
    job(server, {"state": "failed"})

    async def poll(**inputs: Any) -> Any:
        return await http.invoke("http-poll", {"url": f"{server.url}/job", **inputs})

    with pytest.raises(AgentError, match="HTTP_POLL_FAILED"):
        await poll(until=DONE, fail_when=FAILED)
    with pytest.raises(AgentError, match="HTTP_INVALID_OPTION"):
        await poll()
    with pytest.raises(AgentError, match="CONDITION_INVALID"):
        await poll(until={"type": "nothing"})
    with pytest.raises(AgentError, match="HTTP_POLL_TIMEOUT"):
        await poll(until=DONE, max_attempts=2, interval_ms=10)
    assert (await poll(until_status=[200]))["response"]["body"] == {"state": "failed"}
    with pytest.raises(AgentError, match="HTTP_INVALID_URL"):
        await poll(until=DONE, url="nothing")


# GraphQL


async def test_graphql(http: AgentDefinition, server: Server) -> None:
    async def ask(answer: Any, status: int = 200, **inputs: Any) -> Any:
        server.answer("/g", status=status, body=answer)
        given = {"url": f"{server.url}/g", "query": "query($id: ID!) { order(id: $id) { n } }", **inputs}
        return await http.invoke("http-graphql", given)

    result = await ask(
        {"data": {"order": {"n": 1}}, "extensions": {"cost": 2}}, variables={"id": "7"}, operation_name="q"
    )
    assert result == {"data": {"order": {"n": 1}}, "errors": [], "extensions": {"cost": 2}}
    sent = server.received[-1]
    assert sent.method == "POST"
    assert json.loads(sent.body) == {
        "query": "query($id: ID!) { order(id: $id) { n } }",
        "variables": {"id": "7"},
        "operationName": "q",
    }
    errors = [{"message": "not allowed", "path": ["order", 0], "extensions": {"code": "FORBIDDEN"}}]
    for status in (200, 400):
        with pytest.raises(AgentError) as caught:
            await ask({"data": None, "errors": errors}, status=status)
        error = caught.value
        assert (error.code, error.retryable) == ("HTTP_GRAPHQL_ERROR", False)
        assert "not allowed at order.0" in error.message
        assert json.loads(error.attributes["codes"]) == ["FORBIDDEN"]
    busy = [{"message": "slow down", "extensions": {"code": "THROTTLED"}}]
    with pytest.raises(AgentError) as caught:
        await ask({"errors": busy})
    assert caught.value.retryable
    partial = await ask({"data": {"a": 1}, "errors": errors}, partial="allow")
    assert (partial["data"], partial["errors"]) == ({"a": 1}, errors)
    with pytest.raises(AgentError, match="HTTP_GRAPHQL_ERROR"):
        await ask({"data": {"a": 1}, "errors": errors})
    with pytest.raises(AgentError, match="HTTP_GRAPHQL_INVALID"):
        await ask([1])
    with pytest.raises(AgentError, match="HTTP_SERVICE_UNAVAILABLE"):
        await ask({}, status=503)
