"""Agents through the management SDK and `runtara-ctl`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from runtara_sdk import CapabilityNotFoundError, InvalidInputError, ManagementSdk, ManagementSettings, ProtocolError
from runtara_sdk.cli.ctl import ctl
from runtara_sdk.cli.errors import run_program
from runtara_sdk.file_agent import file_agent
from runtara_sdk.protocol import environment_pb2 as pb

INFO = file_agent.metadata()
WRITE = file_agent.capability("file-write-file")
DOCUMENT = {**WRITE.metadata(), "inputSchema": WRITE.input_schema(), "outputSchema": WRITE.output_schema()}
AGENTS = pb.RpcResponse(list_agents=pb.ListAgentsResponse(agents_json=json.dumps([INFO]).encode()))
CAPABILITY = pb.RpcResponse(
    get_capability=pb.GetCapabilityResponse(found=True, capability_json=json.dumps(DOCUMENT).encode())
)
UNKNOWN = pb.RpcResponse(get_capability=pb.GetCapabilityResponse(found=False))


def answered(**fields: Any) -> pb.RpcResponse:
    return pb.RpcResponse(test_capability=pb.TestCapabilityResponse(**fields))


class OneAnswer:
    """Takes the place of the client of a transport."""

    answer: pb.RpcResponse
    request: pb.RpcRequest
    timeout_ms: int | None

    def __init__(self, *_: object, **__: object) -> None: ...

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def call(self, payload: bytes, *, timeout_ms: int | None = None) -> bytes:
        OneAnswer.request, OneAnswer.timeout_ms = pb.RpcRequest.FromString(payload), timeout_ms
        return OneAnswer.answer.SerializeToString()

    async def call_streaming(self, payload: bytes, chunks: object, *, timeout_ms: int | None = None) -> bytes:
        raise AssertionError("nothing is streamed")


@pytest.fixture
def sdk() -> ManagementSdk:
    return ManagementSdk(ManagementSettings(tenant_id="t"), client=OneAnswer())


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr("runtara_sdk.transport.open_client", OneAnswer)
    monkeypatch.setenv("DATA_DIR", "/nowhere")

    def run(answer: pb.RpcResponse, *words: str) -> tuple[object, str, str]:
        OneAnswer.answer = answer
        monkeypatch.setattr(sys, "argv", ["runtara-ctl", "agents", *words])
        with pytest.raises(SystemExit) as exit_info:
            run_program(ctl)
        captured = capsys.readouterr()
        return exit_info.value.code, captured.out, captured.err

    return run


async def test_agents_have_names_and_their_documents(sdk: ManagementSdk) -> None:
    OneAnswer.answer = AGENTS
    (agent,) = await sdk.list_agents()
    assert OneAnswer.request.list_agents.tenant_id == "t"
    assert (agent.agent_id, agent.supports_connections, agent.document) == ("file", False, INFO)
    assert [each.capability_id for each in agent.capabilities] == [each.id for each in file_agent.capabilities]
    write = next(each for each in agent.capabilities if each.capability_id == WRITE.id)
    assert (write.effect, write.has_side_effects, write.input_schema) == (WRITE.effect.value, True, None)
    path = next(each for each in write.inputs if each.name == "path")
    assert (path.type, path.required, path.default) == ("string", True, None)
    assert "FILE_TOO_LARGE" in [error.code for error in write.known_errors]


async def test_a_capability_has_schemas(sdk: ManagementSdk) -> None:
    OneAnswer.answer = CAPABILITY
    found = await sdk.get_capability("file", "write")
    assert (found.input_schema, found.output_schema) == (WRITE.input_schema(), WRITE.output_schema())
    assert found.document == DOCUMENT
    OneAnswer.answer = UNKNOWN
    with pytest.raises(CapabilityNotFoundError, match="no agent 'file' with a capability 'fly'"):
        await sdk.get_capability("file", "fly")


async def test_a_test_is_a_result_whatever_comes_of_it(sdk: ManagementSdk) -> None:
    OneAnswer.answer = answered(success=True, output=b"[0.10]", execution_time_ms=7)
    result = await sdk.test_capability("file", "read", {"path": "a"}, connection={"x": 1}, timeout_ms=90_000)
    assert (result.success, result.output, result.error, result.execution_time_ms) == (True, [0.1], None, 7)
    call = OneAnswer.request.test_capability
    assert (call.tenant_id, call.input, call.connection, call.timeout_ms) == ("t", b'{"path":"a"}', b'{"x":1}', 90_000)
    assert OneAnswer.timeout_ms is not None
    assert OneAnswer.timeout_ms > 90_000
    error = {"code": "FILE_NOT_FOUND", "message": "there is none", "category": "permanent"}
    OneAnswer.answer = answered(success=False, error=json.dumps(error), error_code="FILE_NOT_FOUND")
    result = await sdk.test_capability("file", "read")
    assert (result.success, result.output) == (False, None)
    assert result.error is not None
    assert (result.error.code, result.error.message) == ("FILE_NOT_FOUND", "there is none")
    call = OneAnswer.request.test_capability
    assert (call.input, call.HasField("connection"), call.HasField("timeout_ms")) == (b"{}", False, False)
    for given in ({"timeout_ms": 0}, {"tenant_id": ""}, {"inputs": {"a": float("nan")}}):
        with pytest.raises(InvalidInputError):
            await sdk.test_capability("file", "read", **given)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'[{"name": "x"}]', b'[{"id": "x", "capabilities": 1}]'])
async def test_metadata_that_is_none_is_told(sdk: ManagementSdk, content: bytes) -> None:
    OneAnswer.answer = pb.RpcResponse(list_agents=pb.ListAgentsResponse(agents_json=content))
    with pytest.raises(ProtocolError, match="the environment "):
        await sdk.list_agents()


def test_the_command_shows_agents(command: Callable[..., Any]) -> None:
    code, out, _ = command(AGENTS, "list", "--table")
    assert (code, [line.split()[:2] for line in out.splitlines()]) == (0, [["AGENT", "CAPABILITIES"], ["file", "10"]])
    assert json.loads(command(AGENTS, "list", "--json")[1]) == [INFO]
    code, out, _ = command(AGENTS, "show", "File", "--table")
    assert (code, out.splitlines()[0].partition(":")[0]) == (0, "file")
    assert any(line.startswith("file-write-file ") for line in out.splitlines())
    assert json.loads(command(AGENTS, "show", "file", "--json")[1]) == INFO
    code, out, err = command(AGENTS, "show", "fil")
    assert (code, out, err) == (1, "", "error: the environment has no agent 'fil' (there are file)\n")

    code, out, _ = command(CAPABILITY, "show", "file", "write", "--table")
    rows = [line.split() for line in out.splitlines()]
    assert (code, rows[0][:2]) == (0, ["file", "file-write-file:"])
    assert ["path", "string", "required"] in [row[:3] for row in rows]
    assert ["FILE_TOO_LARGE", "permanent"] in [row[:2] for row in rows]
    for part in ("RESULT", "bytes_written", 'example: {"path": '):
        assert part in out
    hostile = {"id": "sing", "description": "Sings.\x1b[2J", "examples": [{"inputs": {"song": "\x1b[2J"}}]}
    answer = pb.GetCapabilityResponse(found=True, capability_json=json.dumps(hostile).encode())
    code, out, _ = command(pb.RpcResponse(get_capability=answer), "show", "choir", "sing", "--table")
    assert (code, "\x1b" in out, out.partition(":")[0]) == (0, False, "choir sing")
    assert json.loads(command(CAPABILITY, "show", "file", "write", "--json")[1]) == DOCUMENT
    code, _, err = command(UNKNOWN, "show", "file", "fly")
    assert (code, "`runtara-ctl agents list` tell which there are" in err) == (1, True)


def test_the_command_tests(command: Callable[..., Any]) -> None:
    words = ("test", "file", "read", "--tenant", "t", "--input", '{"path": "a"}', "--connection", '{"x": 1}')
    assert command(answered(success=True, output=b'{"a": 1}'), *words) == (0, '{\n  "a": 1\n}\n', "")
    assert json.loads(OneAnswer.request.test_capability.connection) == {"x": 1}
    error = json.dumps({"code": "NONE", "message": "there is\nnone"})
    code, out, err = command(answered(success=False, error=error), *words)
    assert (code, out, err) == (1, "", "error: [NONE] there is none\n")
    code, out, _ = command(answered(success=False, error=error, execution_time_ms=3), *words, "--json")
    assert (code, json.loads(out)["error"]["code"], json.loads(out)["execution_time_ms"]) == (1, "NONE", 3)
    assert command(answered(), "test", "file", "read", "--tenant", "t", "--input", "[]")[0] == 2
    assert command(answered(), "test", "file", "read")[0] == 2
