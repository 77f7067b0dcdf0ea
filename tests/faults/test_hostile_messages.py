"""Whatever bytes come as a request: an answer or a refusal, and never an accident inside the server.

Requests mean the same on either transport, so one transport brings them: QUIC. What opens a stream comes on both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_process import PORTS, DaemonProcess
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtara_sdk.errors import ProtocolError, RuntaraError
from runtara_sdk.protocol import environment_pb2, instance_pb2, management_pb2
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport import TransportClient, open_client

PACKAGES: dict[str, Any] = {
    "instance": instance_pb2,
    "management": management_pb2,
    "environment": environment_pb2,
}
BATCH = 25
"""Requests of one example: they are made at the same time."""

INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
TEXTS = st.one_of(
    st.sampled_from(["", "nul\0inside", "../../etc", "\ud7ff\U0010ffff", "%s{}'\"--"]),
    st.integers(1, 5_000).map("a".__mul__),
    st.text(max_size=20),
)
KNOWN = [f"known-{number}" for number in range(20)]
IDENTIFIERS = {
    "instance_id": st.one_of(st.sampled_from(KNOWN), st.sampled_from(KNOWN), TEXTS),
    "checkpoint_id": st.one_of(st.sampled_from(["step-1", "step-2", "step-3"]), TEXTS),
    "tenant_id": st.one_of(st.just("tenant"), TEXTS),
}
"""Values that are mostly right, so that requests get far enough to do harm."""
# What waits by its nature is bounded elsewhere; here it would only take time.
SHORT = {"duration_ms", "wait_ms", "timeout_ms", "grace_period_seconds", "timeout_seconds"}


class Target:
    """The daemons, and a loop to talk to them from tests that are not coroutines."""

    def __init__(self, directory: Path) -> None:
        self.runner = asyncio.Runner()
        self.daemons = DaemonProcess(directory)
        self.runner.run(self.daemons.start())
        self.clients: dict[str, TransportClient] = {}
        self.local_clients: dict[str, TransportClient] = {}
        self.registrations: dict[str, instance_pb2.RegisterInstanceResponse] = {}
        self.runner.run(self._prepare())

    async def _prepare(self) -> None:
        """Clients of each port, and instances for requests to name."""
        for port in PORTS:
            self.clients[port] = self.daemons.client(port)
            self.local_clients[port] = open_client(self.daemons.local_addresses[port])
        for name in KNOWN:
            register = instance_pb2.RegisterInstanceRequest(instance_id=name, tenant_id="tenant")
            request = instance_pb2.RpcRequest(register_instance=register)
            answer = await self.clients["instance"].call(request.SerializeToString())
            self.registrations[name] = instance_pb2.RpcResponse.FromString(answer).register_instance

    def authorized(self, payload: bytes) -> bytes:
        """A request of a known instance that names no epoch becomes one of its current launch."""
        request = instance_pb2.RpcRequest()
        try:
            request.ParseFromString(payload)
        except DecodeError:
            return payload
        call = getattr(request, request.WhichOneof("request") or "", None)
        registration = self.registrations.get(getattr(call, "instance_id", ""))
        if registration is None or request.HasField("epoch"):
            return payload
        request.epoch = registration.epoch
        request.instance_token = registration.instance_token
        return request.SerializeToString()

    def close(self) -> None:
        for client in (*self.clients.values(), *self.local_clients.values()):
            self.runner.run(client.close())
        self.runner.run(self.daemons.kill())
        self.runner.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("target"))
    yield made
    made.close()


def messages(descriptor: Descriptor, package: Any, depth: int = 3) -> st.SearchStrategy[Any]:
    """Messages of a type with any subset of its fields, each with values that are likely to hurt."""
    likely = {
        field.name: IDENTIFIERS[field.name]
        for field in descriptor.fields
        if field.name in IDENTIFIERS and not field.is_repeated
    }
    fields = {
        field.name: values(field, package, depth)
        for field in descriptor.fields
        if field.name not in likely and (depth or not field.message_type)
    }

    def build(chosen: dict[str, Any]) -> Any:
        message = message_class(descriptor, package)()
        for name, value in chosen.items():
            if isinstance(value, dict):
                getattr(message, name).update(value)
            elif isinstance(value, list):
                getattr(message, name).extend(value)
            elif hasattr(value, "DESCRIPTOR"):
                getattr(message, name).CopyFrom(value)
            else:
                setattr(message, name, value)
        return message

    return st.fixed_dictionaries(likely, optional=fields).map(build)


def values(field: FieldDescriptor, package: Any, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return st.dictionaries(TEXTS, TEXTS, max_size=3)
    strategy = single_values(field, package, depth)
    return st.lists(strategy, max_size=3) if field.is_repeated else strategy


def single_values(field: FieldDescriptor, package: Any, depth: int) -> st.SearchStrategy[Any]:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return messages(field.message_type, package, depth - 1)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return st.binary(max_size=100) if field.type == FieldDescriptor.TYPE_BYTES else TEXTS
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return st.one_of(st.integers(0, 8), st.sampled_from([-1, 2**31 - 1]))
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return st.integers(0, 50) if field.name in SHORT else st.sampled_from([low, 0, 1, 3, high, high // 2])
    return st.sampled_from([0.0, -1.0, float("nan"), float("inf")])


def message_class(descriptor: Descriptor, package: Any) -> Any:
    return getattr(package, descriptor.name)


def requests(port: str) -> st.SearchStrategy[bytes]:
    """Requests of each verb of the port, and bytes that are nearly or not at all requests."""
    package = PACKAGES[port]
    verbs = package.RpcRequest.DESCRIPTOR.oneofs_by_name["request"].fields

    def wrap(verb: FieldDescriptor) -> st.SearchStrategy[bytes]:
        def build(call: Any, epoch: int | None) -> bytes:
            request = package.RpcRequest()
            getattr(request, verb.name).CopyFrom(call)
            if epoch is not None and "epoch" in package.RpcRequest.DESCRIPTOR.fields_by_name:
                request.epoch = epoch
            return bytes(request.SerializeToString())

        epochs = st.sampled_from([None, 0, 1, 2**63 - 1])
        return st.builds(build, messages(verb.message_type, package), epochs)

    whole = st.one_of(*(wrap(verb) for verb in verbs))
    damaged = st.builds(
        lambda data, cut, extra: data[: max(len(data) - cut, 0)] + extra,
        whole,
        st.integers(0, 9),
        st.binary(max_size=9),
    )
    return st.one_of(whole, whole, damaged, st.binary(max_size=200))


async def ask(client: TransportClient, payload: bytes) -> bytes | None:
    try:
        return await client.call(payload, timeout_ms=30_000)
    except ProtocolError:
        return None


@pytest.mark.parametrize("port", PORTS)
def test_every_request_is_answered_or_refused(target: Target, port: str, rounds: int) -> None:
    package, client = PACKAGES[port], target.clients[port]
    answered: set[str] = set()

    async def ask_all(payloads: list[bytes]) -> list[bytes | None]:
        if port == "instance":
            payloads = [target.authorized(payload) for payload in payloads]
        return list(await asyncio.gather(*(ask(client, payload) for payload in payloads)))

    @settings(max_examples=10 * rounds, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(requests(port), min_size=BATCH, max_size=BATCH))
    def attack(payloads: list[bytes]) -> None:
        for payload, answer in zip(payloads, target.runner.run(ask_all(payloads)), strict=True):
            if answer is None:
                continue
            response = package.RpcResponse.FromString(answer)
            assert "inside the server" not in response.error.message, package.RpcRequest.FromString(payload)
            answered.add(response.WhichOneof("response"))

    attack()
    verbs = package.RpcRequest.DESCRIPTOR.oneofs_by_name["request"].fields
    assert len(answered) > len(verbs) / 2, f"hardly any request was good enough to be served: {answered}"
    assert "Traceback" not in target.daemons.log


def frames() -> st.SearchStrategy[bytes]:
    """What opens a stream: frames of every type, sizes that lie, frames that are cut, anything."""
    payloads = st.binary(max_size=60)
    return st.one_of(
        st.builds(encode_frame, st.sampled_from(FrameType), payloads),
        st.builds(
            lambda size, kind, rest: size.to_bytes(4, "big") + kind.to_bytes(2, "big") + rest,
            st.sampled_from([0, 1, 59, 2**26, 2**26 + 1, 2**31, 2**32 - 1]),
            st.integers(0, 2**16 - 1),
            payloads,
        ),
        st.builds(
            lambda frame, cut: frame[:cut],
            st.builds(encode_frame, st.just(FrameType.REQUEST), payloads),
            st.integers(0, 20),
        ),
        payloads,
    )


@pytest.mark.parametrize("is_local", [False, True], ids=["quic", "local"])
@pytest.mark.parametrize("port", PORTS)
def test_every_stream_ends_whatever_it_carries(target: Target, port: str, is_local: bool, rounds: int) -> None:
    client: Any = (target.local_clients if is_local else target.clients)[port]

    async def open_all(contents: list[bytes]) -> None:
        await client.connect()
        connection = client._connection
        assert connection is not None
        deadline = asyncio.get_running_loop().time() + 30

        async def open_one(content: bytes) -> None:
            stream = connection.open_stream()
            try:
                stream.send(content, end=True)
                while await stream.read_frame(deadline) is not None:
                    pass
            except RuntaraError as error:
                assert isinstance(error, ProtocolError), error
            finally:
                stream.release()

        await asyncio.gather(*map(open_one, contents))
        assert connection.is_open
        assert connection.open_streams == 0

    @settings(max_examples=7 * rounds, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(frames(), min_size=BATCH, max_size=BATCH))
    def attack(contents: list[bytes]) -> None:
        target.runner.run(open_all(contents))

    attack()
    assert "Traceback" not in target.daemons.log


def test_a_batch_of_bad_events_costs_no_log(target: Target) -> None:
    register = instance_pb2.RegisterInstanceRequest(instance_id="logger", tenant_id="tenant")
    request = instance_pb2.RpcRequest(register_instance=register)
    client = target.clients["instance"]
    answer = instance_pb2.RpcResponse.FromString(target.runner.run(client.call(request.SerializeToString())))
    launch = answer.register_instance
    # A type that there is not.
    event = instance_pb2.InstanceEvent(instance_id="logger", event_type=99)  # type: ignore[arg-type]
    batch = instance_pb2.InstanceEventBatch(events=[event] * 5_000)
    request = instance_pb2.RpcRequest(
        epoch=launch.epoch, instance_token=launch.instance_token, instance_event_batch=batch
    )
    logged = len(target.daemons.log)
    answer = instance_pb2.RpcResponse.FromString(target.runner.run(client.call(request.SerializeToString())))
    assert answer.instance_event_batch.accepted == 0
    assert not answer.HasField("error"), answer
    assert len(target.daemons.log) - logged < 64 * 1024
