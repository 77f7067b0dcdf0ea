import asyncio
import hashlib
import json
from collections.abc import AsyncIterable
from pathlib import Path

import pytest
from runtara_sdk import (
    CheckpointNotFoundError,
    ConfigurationError,
    DeadlineExceededError,
    ImageNotFoundError,
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceStatus,
    InvalidInputError,
    InvalidStateError,
    ManagementSdk,
    ManagementSettings,
    ProtocolError,
    ServerError,
    SignalType,
    TransportError,
)
from runtara_sdk.management import InstanceError, ResourceLimits, as_json
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.settings import EnvironmentReader


class ScriptedEnvironment:
    """Takes the place of a QUIC client: records requests, answers them one after the other."""

    def __init__(self) -> None:
        self.answers: list[pb.RpcResponse | BaseException | bytes] = []
        self.requests: list[pb.RpcRequest] = []
        self.uploaded = b""

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def call(self, payload: bytes, *, timeout_ms: int | None = None) -> bytes:
        self.requests.append(pb.RpcRequest.FromString(payload))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, bytes) else answer.SerializeToString()

    async def call_streaming(
        self, payload: bytes, chunks: AsyncIterable[bytes], *, timeout_ms: int | None = None
    ) -> bytes:
        async for chunk in chunks:
            assert len(chunk) <= 64 * 1024
            self.uploaded += chunk
        return await self.call(payload, timeout_ms=timeout_ms)


@pytest.fixture
def environment() -> ScriptedEnvironment:
    return ScriptedEnvironment()


@pytest.fixture
def sdk(environment, clock) -> ManagementSdk:
    return ManagementSdk(ManagementSettings(tenant_id="t"), client=environment, clock=clock)


def status_of(status: pb.InstanceStatus, **fields: object) -> pb.RpcResponse:
    message = pb.GetInstanceStatusResponse(instance_id="i", found=True, status=status, **fields)
    return pb.RpcResponse(get_instance_status=message)


async def test_health(sdk, environment):
    environment.answers.append(
        pb.RpcResponse(health_check=pb.HealthCheckResponse(healthy=True, version="1", uptime_ms=5, active_instances=2))
    )
    async with sdk:
        assert as_json(await sdk.health_check()) == {
            "healthy": True,
            "version": "1",
            "uptime_ms": 5,
            "active_instances": 2,
        }
        assert sdk.is_connected
    assert not sdk.is_connected


async def test_file_is_streamed_with_its_digest(sdk, environment, tmp_path: Path):
    content = b"x" * 200_000
    (tmp_path / "artifact").write_bytes(content)
    environment.answers.append(
        pb.RpcResponse(register_image=pb.RegisterImageResponse(success=True, image_id="im", version=3))
    )
    image = await sdk.register_image_stream("t", "order", tmp_path / "artifact", metadata={"a": 1})
    assert (image.image_id, image.version) == ("im", 3)
    assert environment.uploaded == content
    start = environment.requests[0].register_image_stream
    assert (start.binary_size, start.sha256) == (200_000, hashlib.sha256(content).hexdigest())
    assert start.runner_type == pb.RUNNER_NATIVE
    assert json.loads(start.metadata) == {"a": 1}


async def test_any_source_is_streamed(sdk, environment):
    async def source():
        yield b"a"
        yield b"b"

    environment.answers.append(pb.RpcResponse(register_image=pb.RegisterImageResponse(success=True, image_id="im")))
    await sdk.register_image_stream(
        "t", "order", source(), runner="oci", limits=ResourceLimits(memory_bytes=2**30, cpu_cores=2)
    )
    assert environment.uploaded == b"ab"
    start = environment.requests[0].register_image_stream
    assert (start.runner, start.runner_type) == ("oci", pb.RUNNER_OCI)
    assert start.limits == pb.ResourceLimits(memory_bytes=2**30, cpu_cores=2)


async def test_missing_file_is_named(sdk, tmp_path: Path):
    with pytest.raises(InvalidInputError, match="nothing: No such file"):
        await sdk.register_image_stream("t", "order", tmp_path / "nothing")


async def test_refusals_are_typed(sdk, environment):
    environment.answers += [
        pb.RpcResponse(
            start_instance=pb.StartInstanceResponse(success=False, error="taken", error_code="INSTANCE_ALREADY_EXISTS")
        ),
        pb.RpcResponse(error=pb.RpcError(code="IMAGE_NOT_FOUND", message="no image")),
        pb.RpcResponse(get_image=pb.GetImageResponse(found=False)),
        pb.RpcResponse(get_instance_status=pb.GetInstanceStatusResponse(found=False)),
        pb.RpcResponse(get_checkpoint=pb.GetCheckpointResponse(found=False)),
        pb.RpcResponse(health_check=pb.HealthCheckResponse()),
        b"\xff",
    ]
    with pytest.raises(InstanceExistsError, match="taken"):
        await sdk.start_instance("im", "t")
    with pytest.raises(ImageNotFoundError, match="no image"):
        await sdk.start_instance("im", "t")
    with pytest.raises(ImageNotFoundError):
        await sdk.get_image("im", "t")
    with pytest.raises(InstanceNotFoundError):
        await sdk.get_instance_status("i")
    with pytest.raises(CheckpointNotFoundError):
        await sdk.get_checkpoint("i", "c")
    with pytest.raises(ProtocolError, match="get_image"):
        await sdk.get_image("im", "t")
    with pytest.raises(ProtocolError):
        await sdk.get_image("im", "t")


async def test_start_carries_everything(sdk, environment):
    environment.answers.append(
        pb.RpcResponse(start_instance=pb.StartInstanceResponse(success=True, instance_id="i", deduplicated=True))
    )
    started = await sdk.start_instance(
        "im", "t", instance_id="i", input_envelope={"data": {}}, timeout_seconds=9, env={"A": "b"}
    )
    assert started.deduplicated
    request = environment.requests[0].start_instance
    assert (request.image_id, request.tenant_id, request.instance_id) == ("im", "t", "i")
    assert (json.loads(request.input), request.timeout_seconds, dict(request.env)) == ({"data": {}}, 9, {"A": "b"})


async def test_start_makes_an_id_so_that_it_can_be_repeated(sdk, environment):
    environment.answers.append(pb.RpcResponse(start_instance=pb.StartInstanceResponse(success=True, instance_id="x")))
    await sdk.start_instance("im", "t")
    assert len(environment.requests[0].start_instance.instance_id) == 36


async def test_instance_is_decoded(sdk, environment):
    environment.answers.append(
        status_of(
            pb.STATUS_FAILED,
            input=b'{"a": 1}',
            output=b"text",
            error="not found in stock",
            exit_code=0,
            termination_reason="crashed",
            tenant_id="t",
        )
    )
    info = await sdk.get_instance_status("i")
    assert (info.input, info.output, info.error) == ({"a": 1}, "text", InstanceError("not found in stock"))
    assert as_json(info)["error"] == "not found in stock"
    assert (info.exit_code, info.termination_reason, info.started_at_ms) == (0, "crashed", None)
    assert environment.requests[0].get_instance_status.tenant_id == "t"
    assert json.loads(json.dumps(as_json(info)))["status"] == "failed"


async def test_binary_payloads_become_text(sdk, environment):
    event = pb.EventSummary(id=1, instance_id="i", event_type="custom", payload=b"\xff\xfe")
    environment.answers.append(pb.RpcResponse(list_events=pb.ListEventsResponse(events=[event], total_count=1)))
    page = await sdk.list_events("i", subtype="s")
    assert page.events[0].payload == "//4="
    assert page.total_count == 1


async def test_lists(sdk, environment):
    environment.answers += [
        pb.RpcResponse(
            list_images=pb.ListImagesResponse(images=[pb.ImageSummary(image_id="im", name="n")], total_count=7)
        ),
        pb.RpcResponse(
            list_instances=pb.ListInstancesResponse(
                instances=[pb.InstanceSummary(instance_id="i", status=pb.STATUS_SUSPENDED)], total_count=1
            )
        ),
        pb.RpcResponse(
            list_checkpoints=pb.ListCheckpointsResponse(
                checkpoints=[pb.CheckpointSummary(checkpoint_id="c", data_size_bytes=4)], total_count=1
            )
        ),
        pb.RpcResponse(get_checkpoint=pb.GetCheckpointResponse(found=True, checkpoint_id="c", data=b"[1]")),
    ]
    assert (await sdk.list_images(limit=1)).images[0].name == "n"
    assert (await sdk.list_instances()).instances[0].status == "suspended"
    assert (await sdk.list_checkpoints("i")).checkpoints[0].data_size_bytes == 4
    assert (await sdk.get_checkpoint("i", "c")).data == [1]
    assert environment.requests[0].list_images.tenant_id == "t"


async def test_signals(sdk, environment):
    done = pb.RpcResponse(send_signal=pb.SendSignalResponse(success=True))
    environment.answers += [
        done,
        done,
        done,
        pb.RpcResponse(resume_instance=pb.ResumeInstanceResponse(success=True)),
        pb.RpcResponse(send_custom_signal=pb.SendCustomSignalResponse(success=True)),
        pb.RpcResponse(stop_instance=pb.StopInstanceResponse(success=True)),
        pb.RpcResponse(delete_image=pb.DeleteImageResponse(success=True)),
    ]
    await sdk.cancel_instance("i", "changed my mind")
    await sdk.pause_instance("i")
    await sdk.shutdown_instance("i")
    await sdk.send_signal("i", SignalType.RESUME)
    await sdk.send_custom_signal("i", "approval", b"yes")
    await sdk.stop_instance("i", grace_period_seconds=1, reason="r")
    await sdk.delete_image("im", "t")
    kinds = [request.WhichOneof("request") for request in environment.requests]
    assert kinds == [
        "send_signal",
        "send_signal",
        "send_signal",
        "resume_instance",
        "send_custom_signal",
        "stop_instance",
        "delete_image",
    ]
    assert environment.requests[0].send_signal.payload == b"changed my mind"
    sent = [request.send_signal.signal_type for request in environment.requests[:3]]
    assert sent == [pb.SIGNAL_CANCEL, pb.SIGNAL_PAUSE, pb.SIGNAL_SHUTDOWN]


class TickingClock:
    """A clock on which waits pass at once."""

    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        return self.ms

    async def sleep(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


async def test_waits_through_suspension_and_restart(environment):
    sdk = ManagementSdk(ManagementSettings(), client=environment, clock=TickingClock())
    environment.answers += [
        status_of(pb.STATUS_RUNNING),
        TransportError("restarting"),
        ServerError("core cannot be reached", retryable=True),
        status_of(pb.STATUS_SUSPENDED),
        status_of(pb.STATUS_COMPLETED, output=b"{}"),
    ]
    assert (await sdk.wait_for_completion("i", poll_interval=1)).output == {}


async def test_wait_has_a_bound(environment):
    sdk = ManagementSdk(ManagementSettings(), client=environment, clock=TickingClock())
    environment.answers += [status_of(pb.STATUS_SUSPENDED)] * 10
    with pytest.raises(DeadlineExceededError, match="suspended"):
        await sdk.wait_for_completion("i", poll_interval=1, timeout=3)
    environment.answers[:] = [TransportError("gone")] * 1000
    with pytest.raises(TransportError):
        await sdk.wait_for_completion("i", poll_interval=1)


async def test_run_instance(sdk, environment):
    environment.answers += [
        pb.RpcResponse(start_instance=pb.StartInstanceResponse(success=True, instance_id="i")),
        status_of(pb.STATUS_COMPLETED),
    ]
    assert (await sdk.run_instance("im", "t")).status == "completed"


def test_settings():
    variables = {
        "RUNTARA_ENVIRONMENT_ADDR": "env:1",
        "RUNTARA_SKIP_CERT_VERIFICATION": "1",
        "DATA_DIR": "/nowhere",
        "RUNTARA_REQUEST_TIMEOUT_MS": "5",
    }
    settings = ManagementSettings.from_environment(EnvironmentReader(variables))
    assert (settings.server_addr, settings.skip_cert_verification, settings.request_timeout_ms) == ("env:1", True, 5)
    with pytest.raises(ConfigurationError, match="RUNTARA_REQUEST_TIMEOUT_MS"):
        ManagementSettings.from_environment(EnvironmentReader({"RUNTARA_REQUEST_TIMEOUT_MS": "x"}))


def retried(**fields: object) -> pb.RpcResponse:
    return pb.RpcResponse(retry_instance=pb.RetryInstanceResponse(**fields))


async def test_a_retry_carries_its_key_and_tells_a_refusal(sdk, environment):
    environment.answers = [
        retried(success=True),
        retried(success=True, deduplicated=True),
        retried(success=False, error="it is running", error_code="INVALID_INSTANCE_STATE"),
    ]
    assert not (await sdk.retry_instance("i")).deduplicated
    assert (await sdk.retry_instance("i", retry_key="k")).deduplicated
    with pytest.raises(InvalidStateError, match="it is running"):
        await sdk.retry_instance("i")
    with pytest.raises(InvalidInputError, match="retry_key is empty"):
        await sdk.retry_instance("i", retry_key="")
    sent = [request.retry_instance for request in environment.requests]
    assert [(call.instance_id, call.tenant_id, call.HasField("retry_key"), call.retry_key) for call in sent] == [
        ("i", "t", False, ""),
        ("i", "t", True, "k"),
        ("i", "t", False, ""),
    ]


def page_of(*ids: str, total_count: int) -> pb.RpcResponse:
    instances = [pb.InstanceSummary(instance_id=each, status=pb.STATUS_FAILED) for each in ids]
    return pb.RpcResponse(list_instances=pb.ListInstancesResponse(instances=instances, total_count=total_count))


async def test_many_retries_tell_what_came_of_each(sdk, environment):
    environment.answers = [
        page_of("a", "b", "c", total_count=7),
        retried(success=True),
        retried(success=False, error="its image is gone", error_code="IMAGE_NOT_FOUND"),
        retried(success=True),
    ]
    done = await sdk.retry_instances(created_after_ms=5, limit=3)
    assert [(each.instance_id, each.accepted, each.code) for each in done.outcomes] == [
        ("a", True, None),
        ("b", False, "IMAGE_NOT_FOUND"),
        ("c", True, None),
    ]
    assert as_json(done)["outcomes"][1]["reason"] == "its image is gone"
    assert (done.total_count, done.dry_run) == (7, False)
    asked = environment.requests[0].list_instances
    assert (asked.status, asked.limit, asked.order_by, asked.created_after_ms, asked.tenant_id) == (
        pb.STATUS_FAILED,
        3,
        "created_at_asc",
        5,
        "t",
    )


async def test_a_dry_run_of_retries_asks_and_changes_nothing(sdk, environment):
    environment.answers = [page_of("a", total_count=1), status_of(pb.STATUS_FAILED), status_of(pb.STATUS_RUNNING)]
    planned = await sdk.retry_instances(dry_run=True)
    assert ([each.accepted for each in planned.outcomes], planned.dry_run) == ([True], True)
    named = await sdk.retry_instances(["a", "b", "a"], dry_run=True)
    assert [(each.instance_id, each.code) for each in named.outcomes] == [("a", None), ("b", "INVALID_INSTANCE_STATE")]
    kinds = [request.WhichOneof("request") for request in environment.requests]
    assert kinds == ["list_instances", "get_instance_status", "get_instance_status"]


async def test_an_environment_that_is_gone_is_not_asked_for_the_rest(sdk, environment):
    environment.answers = [retried(success=True), TransportError("gone")]
    done = await sdk.retry_instances(["a", "b", "c"])
    assert [(each.accepted, each.code) for each in done.outcomes] == [
        (True, None),
        (False, "CONNECTION_ERROR"),
        (False, "CONNECTION_ERROR"),
    ]
    assert len(environment.requests) == 2


async def test_many_retries_are_under_way_a_few_at_a_time(sdk, monkeypatch):
    ids = [f"i{number}" for number in range(20)]
    under_way: set[str] = set()
    most = 0

    async def retry_instance(instance_id: str) -> None:
        nonlocal most
        under_way.add(instance_id)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(instance_id)
        if instance_id == "i7":
            raise InvalidStateError("it goes on")

    monkeypatch.setattr(sdk, "retry_instance", retry_instance)
    done = await sdk.retry_instances(ids)
    assert [each.instance_id for each in done.outcomes] == ids
    assert [each.instance_id for each in done.outcomes if not each.accepted] == ["i7"]
    assert most == 4


async def test_bounds_of_many_retries(sdk, environment):
    for limit in (0, 1_001):
        with pytest.raises(InvalidInputError, match="1 to 1000"):
            await sdk.retry_instances(limit=limit)
    with pytest.raises(InvalidInputError, match="only failed and cancelled"):
        await sdk.retry_instances(status=InstanceStatus.RUNNING)
    with pytest.raises(InvalidInputError, match="2 instances are named"):
        await sdk.retry_instances(["a", "b"], limit=1)
    assert environment.requests == []


async def test_a_fork_tells_what_it_has(sdk, environment):
    answer = pb.ForkInstanceResponse(success=True, instance_id="f", copied=2, left_out=3, last_copied="x")
    refusal = pb.ForkInstanceResponse(error="no record of step 's'", error_code="VALIDATION_ERROR")
    environment.answers = [pb.RpcResponse(fork_instance=each) for each in (answer, refusal)]
    forked = await sdk.fork_instance("i", from_step="s", image_id="im", instance_id="f")
    assert as_json(forked) == {
        "instance_id": "f",
        "origin_id": "i",
        "deduplicated": False,
        "copied": 2,
        "left_out": 3,
        "last_copied": "x",
    }
    with pytest.raises(InvalidInputError, match="no record of step"):
        await sdk.fork_instance("i", from_step="s", dry_run=True)
    with pytest.raises(InvalidInputError, match="from_step is empty"):
        await sdk.fork_instance("i", from_step="")
    first, second = (request.fork_instance for request in environment.requests)
    assert (first.origin_id, first.from_step, first.image_id, first.instance_id, first.tenant_id, first.dry_run) == (
        "i",
        "s",
        "im",
        "f",
        "t",
        False,
    )
    assert (second.HasField("image_id"), second.dry_run, len(second.instance_id)) == (False, True, 36)
