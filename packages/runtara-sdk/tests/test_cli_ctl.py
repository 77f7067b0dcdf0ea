import gc
import json
import sys
import warnings
from pathlib import Path

import pytest
from runtara_sdk import ImageNotFoundError, InvalidInputError
from runtara_sdk.cli.ctl import ctl
from runtara_sdk.cli.errors import run_program
from runtara_sdk.errors import LogsNotFoundError
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
    monkeypatch.setattr("runtara_sdk.transport.open_client", OneAnswer)
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
    assert json.loads(out) == {"instance_id": "i", "deduplicated": False, "earlier": None}
    assert command(answer, "--json", *words)[1] == out


@pytest.mark.parametrize(
    ("differences", "told"),
    [
        ({}, "i was started before and is completed\n"),
        ({"other_input": True}, "with another input: give another id"),
        ({"other_input": True, "other_version": True}, "with another version of the image and another input: give"),
    ],
)
def test_a_start_that_changed_nothing_says_what_differs(command, differences, told):
    earlier = pb.EarlierStart(image_id="im", status=pb.STATUS_COMPLETED, **differences)
    answer = pb.RpcResponse(
        start_instance=pb.StartInstanceResponse(success=True, instance_id="i", deduplicated=True, earlier=earlier)
    )
    words = ["start", "--image", "im", "--tenant", "t", "--instance-id", "i", "--cancel-grace", "5"]
    code, out, err = command(answer, *words)
    assert (code, out) == (0, "i\n")
    assert told in err
    assert OneAnswer.request.start_instance.cancel_grace_seconds == 5
    document = json.loads(command(answer, *words, "--json")[1])
    wanted = {"image_id": "im", "status": "completed", "other_version": False, "other_input": False}
    assert document["earlier"] == wanted | differences


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


LISTED = pb.RpcResponse(
    list_instances=pb.ListInstancesResponse(
        instances=[
            pb.InstanceSummary(
                instance_id="order-1",
                tenant_id="acme",
                image_id="im",
                image_name="orders",
                status=pb.STATUS_FAILED,
                created_at_ms=1_795_764_900_250,
                started_at_ms=1_795_764_901_000,
                finished_at_ms=1_795_764_963_000,
                termination_reason="crashed",
            )
        ],
        total_count=3,
    )
)


def test_a_list_is_a_table_for_people_and_json_for_programs(command):
    code, out, err = command(LISTED, "list-instances", "--table")
    assert code == 0
    assert out.splitlines() == [
        "INSTANCE  STATUS  IMAGE   CREATED                   TOOK       REASON",
        "order-1   failed  orders  2026-11-27T07:35:00.250Z  1 min 2 s  crashed",
    ]
    assert "1 of 3" in err
    document = json.loads(command(LISTED, "list-instances")[1])
    assert document["instances"][0]["created_at"] == "2026-11-27T07:35:00.250Z"
    assert document["instances"][0]["created_at_ms"] == 1_795_764_900_250


def test_lists_are_narrowed(command):
    words = ["list-instances", "--status", "failed", "--since", "2026-11-27T08:15Z", "--until", "2026-11-28"]
    assert command(LISTED, *words, "--image", "im", "--offset", "5", "--finished-since", "2026-11-27")[0] == 0
    asked = OneAnswer.request.list_instances
    assert (asked.status, asked.image_id, asked.offset) == (pb.STATUS_FAILED, "im", 5)
    assert (asked.created_after_ms, asked.created_before_ms) == (1_795_767_300_000, 1_795_824_000_000)
    code, _, err = command(LISTED, "list-instances", "--since", "yesterday")
    assert code == 2
    assert "--since" in err
    assert "15min" in err
    assert command(LISTED, "list-instances", "--status", "odd")[0] == 2


def test_an_instance_is_shown_for_people(command):
    answer = pb.RpcResponse(
        get_instance_status=pb.GetInstanceStatusResponse(
            instance_id="i",
            found=True,
            status=pb.STATUS_FAILED,
            image_name="orders",
            image_id="im",
            created_at_ms=1_795_764_900_250,
            error='{"code": "BUSY", "message": "the service is busy", "category": "transient", "stepId": "ask"}',
        )
    )
    out = command(answer, "status", "i", "--table")[1]
    assert "status    failed\n" in out
    assert "2026-11-27T07:35:00.250Z" in out
    assert "step 'ask': the service is busy [BUSY]; it may pass: start anew" in out


def test_checkpoints_are_listed_in_their_order_and_one_is_shown(command):
    page = pb.ListCheckpointsResponse(
        checkpoints=[
            pb.CheckpointSummary(checkpoint_id=name, instance_id="i", created_at_ms=at_ms, data_size_bytes=size)
            for name, at_ms, size in (("second", 2_000, 2048), ("first", 1_000, 3))
        ],
        total_count=2,
    )
    out = command(pb.RpcResponse(list_checkpoints=page), "checkpoints", "i", "--table")[1]
    assert out.splitlines() == [
        "CREATED                   SIZE     CHECKPOINT",
        "1970-01-01T00:00:02.000Z  2.0 KiB  second",
        "1970-01-01T00:00:01.000Z  3 B      first",
    ]
    one = pb.GetCheckpointResponse(found=True, checkpoint_id="first", instance_id="i", data=b'{"a": 1}')
    assert json.loads(command(pb.RpcResponse(get_checkpoint=one), "checkpoints", "i", "first")[1]) == {"a": 1}


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
        (pb.RpcResponse(retry_instance=pb.RetryInstanceResponse(success=True)), ["retry", "i", "--key", "k"]),
    ],
)
def test_orders_leave_standard_output_empty(command, answer, words):
    code, out, err = command(answer, *words)
    assert (code, out) == (0, "")
    assert words[1] in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name instances, or say which with --status failed"),
        (("i", "--status", "failed"), "name instances, or give --status; not both"),
        (("i", "--since", "1h"), "name instances, or give --since; not both"),
        (("--since", "1h"), "say which with --status"),
        (("--status", "running"), "is not one of 'failed', 'cancelled'"),
        (("i", "j", "--key", "k"), "--key is for the retry of one instance"),
        (("--status", "failed", "--since", "soon"), "--since: 'soon' is no moment"),
        (("--status", "failed", "--limit", "1001"), "1001 is not in the range"),
    ],
)
def test_which_instances_are_retried_has_to_be_clear(command, words, told):
    code, out, err = command(pb.RpcResponse(), "retry", *words)
    assert (code, out) == (2, "")
    assert told in err


def test_a_fork_prints_the_bare_id_and_a_dry_run_what_it_would_have(command):
    answer = pb.ForkInstanceResponse(success=True, instance_id="f", copied=2, left_out=3, last_copied="x")
    words = ["fork", "i", "--from", "s", "--image", "im", "--id", "f"]
    assert command(pb.RpcResponse(fork_instance=answer), *words) == (0, "f\n", "")
    asked = OneAnswer.request.fork_instance
    assert (asked.origin_id, asked.from_step, asked.image_id, asked.instance_id) == ("i", "s", "im", "f")
    planned = command(pb.RpcResponse(fork_instance=answer), *words, "--dry-run", "--table")[1]
    assert planned == "a fork of i would begin with 2 checkpoints, the last is x; 3 are left out\n"
    answer.deduplicated = True
    told = command(pb.RpcResponse(fork_instance=answer), *words)
    assert told[:2] == (0, "f\n")
    assert "f was forked before" in told[2]


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


def test_a_refused_look_at_both_streams_is_one_error_alone(command):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        refusal = LogsNotFoundError("instance i has no launch 99")
        code, out, err = command(refusal, "logs", "i", "--stream", "both", "--epoch", "99")
        refusal.__traceback__ = None  # it keeps what the command has left behind
        gc.collect()
    assert (code, out) == (1, "")
    assert err == "error: instance i has no launch 99\n"
    assert [str(each.message) for each in warned] == []
