import json
import sys
from pathlib import Path

import pytest
from runtara_sdk import ImageNotFoundError, InvalidInputError
from runtara_sdk.cli.ctl import ctl
from runtara_sdk.cli.errors import run_program
from runtara_sdk.protocol import environment_pb2 as pb


class OneAnswer:
    """Takes the place of the QUIC client."""

    answer: pb.RpcResponse | BaseException
    request: pb.RpcRequest
    address: str
    options: dict[str, object]

    def __init__(self, address: str, **options: object) -> None:
        OneAnswer.address = address
        OneAnswer.options = options

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def call(self, payload, *, timeout_ms=None):
        OneAnswer.request = pb.RpcRequest.FromString(payload)
        if isinstance(OneAnswer.answer, BaseException):
            raise OneAnswer.answer
        return OneAnswer.answer.SerializeToString()

    async def call_streaming(self, payload, chunks, *, timeout_ms=None):
        async for _ in chunks:
            pass
        return await self.call(payload)


@pytest.fixture
def command(capsys, monkeypatch):
    monkeypatch.setattr("runtara_sdk.transport.QuicClient", OneAnswer)
    monkeypatch.setenv("DATA_DIR", "/nowhere")

    def run(answer, *words: str) -> tuple[int, str, str]:
        OneAnswer.answer = answer
        monkeypatch.setattr(sys, "argv", ["runtara-ctl", *words])
        with pytest.raises(SystemExit) as exit_info:
            run_program(ctl)
        captured = capsys.readouterr()
        return exit_info.value.code, captured.out, captured.err

    return run


def test_start_prints_the_bare_id(command, tmp_path: Path):
    (tmp_path / "in.json").write_text('{"data": {"a": 1}}')
    answer = pb.RpcResponse(start_instance=pb.StartInstanceResponse(success=True, instance_id="i"))
    words = ["start", "--image", "im", "--tenant", "t", "--timeout", "5", "--input", f"@{tmp_path}/in.json"]
    assert command(answer, *words) == (0, "i\n", "")
    assert json.loads(OneAnswer.request.start_instance.input) == {"data": {"a": 1}}
    out = command(answer, *words, "--json")[1]
    assert json.loads(out) == {"instance_id": "i", "deduplicated": False}
    assert command(answer, "--json", *words)[1] == out


def test_start_gives_variables_to_the_process(command):
    answer = pb.RpcResponse(start_instance=pb.StartInstanceResponse(success=True, instance_id="i"))
    start = ["start", "--image", "im", "--tenant", "t"]
    assert command(answer, *start, "--env", "A=1", "--env", "B=x=y", "--env", "C=")[0] == 0
    assert dict(OneAnswer.request.start_instance.env) == {"A": "1", "B": "x=y", "C": ""}
    for wrong in (["--env", "A"], ["--env", "=1"], ["--env", "A=1", "--env", "A=2"]):
        code, out, err = command(answer, *start, *wrong)
        assert (code, out) == (2, "")
        assert "--env" in err


def test_register_streams_and_prints_the_bare_id(command, tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"x")
    answer = pb.RpcResponse(register_image=pb.RegisterImageResponse(success=True, image_id="im"))
    words = ["register", "--binary", f"{tmp_path}/a.bin", "--tenant", "t", "--name", "n", "--description", "d"]
    assert command(answer, *words) == (0, "im\n", "")
    assert OneAnswer.request.register_image_stream.description == "d"


def test_queries_print_json(command):
    answer = pb.RpcResponse(
        get_instance_status=pb.GetInstanceStatusResponse(instance_id="i", found=True, status=pb.STATUS_COMPLETED)
    )
    for verb in ("status", "wait"):
        code, out, _ = command(answer, verb, "i")
        assert (code, json.loads(out)["status"]) == (0, "completed")
    listed = pb.RpcResponse(list_instances=pb.ListInstancesResponse())
    assert json.loads(command(listed, "list-instances", "--tenant", "t")[1]) == {"instances": [], "total_count": 0}


def test_unhealthy_is_exit_code_one(command):
    answer = pb.RpcResponse(health_check=pb.HealthCheckResponse(healthy=False))
    assert command(answer, "health")[0] == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (pb.RpcResponse(stop_instance=pb.StopInstanceResponse(success=True)), ["stop", "i"]),
        (pb.RpcResponse(send_signal=pb.SendSignalResponse(success=True)), ["cancel", "i"]),
        (pb.RpcResponse(send_signal=pb.SendSignalResponse(success=True)), ["pause", "i"]),
        (pb.RpcResponse(send_signal=pb.SendSignalResponse(success=True)), ["shutdown", "i"]),
        (pb.RpcResponse(resume_instance=pb.ResumeInstanceResponse(success=True)), ["resume", "i"]),
        (pb.RpcResponse(send_custom_signal=pb.SendCustomSignalResponse(success=True)), ["signal", "i", "c"]),
        (pb.RpcResponse(delete_image=pb.DeleteImageResponse(success=True)), ["delete-image", "im", "t"]),
    ],
)
def test_orders_leave_standard_output_empty(command, answer, words):
    code, out, err = command(answer, *words)
    assert (code, out) == (0, "")
    assert words[1] in err


def test_errors(command):
    assert command(ImageNotFoundError("no image im"), "get-image", "im", "t") == (1, "", "error: no image im\n")
    assert command(InvalidInputError("tenant: bad"), "get-image", "im", "t")[0] == 2
    assert command(None, "start")[0] == 2
    assert command(None, "start", "--image", "i", "--tenant", "t", "--input", "{")[0] == 2


def test_address_and_authority(command, tmp_path: Path):
    (tmp_path / "ca.pem").write_text("x")
    answer = pb.RpcResponse(health_check=pb.HealthCheckResponse(healthy=True))
    command(answer, "health", "--address", "env:9", "--ca-file", f"{tmp_path}/ca.pem")
    assert OneAnswer.address == "env:9"
    assert OneAnswer.options["ca_file"] == tmp_path / "ca.pem"
    assert OneAnswer.options["verify"] is True
