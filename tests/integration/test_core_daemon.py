"""A core daemon on real ports: the instance SDK against it, and its management port against its management verbs."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from runtara_core.daemon import CoreDaemon
from runtara_core.management import CoreManagement
from runtara_core.management_client import ManagementClient
from runtara_core.models import (
    CheckpointFilter,
    EventFilter,
    ExitReport,
    InstanceFilter,
    LaunchClaim,
    LeaseKey,
    NewInstance,
)
from runtara_core.settings import CoreSettings
from runtara_sdk import RuntaraSdk
from runtara_sdk.errors import (
    ConfigurationError,
    InstanceCancelled,
    InvalidStateError,
    RuntaraError,
    TransportError,
)
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import CustomSignal, InstanceStatus, SignalType, TerminationReason
from runtara_sdk.testing.clock import ManualClock
from runtara_sdk.transport.quic import QuicClient

TENANT = "tenant-1"


@asynccontextmanager
async def running_core(directory: Path, clock: ManualClock | None = None) -> AsyncIterator[CoreDaemon]:
    settings = CoreSettings(
        database_url=f"sqlite:///{directory}/runtara.db", instance_port=0, management_port=0, data_dir=directory
    )
    daemon = CoreDaemon(settings, clock=clock)
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.close()


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[CoreDaemon]:
    async with running_core(tmp_path) as daemon:
        yield daemon


def client_of(core: CoreDaemon, directory: Path) -> ManagementClient:
    return ManagementClient(QuicClient(f"127.0.0.1:{core.management_port}", ca_file=directory / "tls" / "ca.pem"))


def instance_settings(core: CoreDaemon, directory: Path, **changes: Any) -> InstanceSettings:
    settings = InstanceSettings(
        "instance-1", TENANT, server_addr=core.instance_address, ca_file=directory / "tls" / "ca.pem"
    )
    return dataclasses.replace(settings, **changes)


# Instances


async def test_a_program_runs_twice_and_does_everything_once(core: CoreDaemon, tmp_path: Path) -> None:
    settings = instance_settings(core, tmp_path)
    async with RuntaraSdk(settings) as sdk:
        assert (await sdk.checkpoint("step-1", b"one")).existing_state is None
    async with RuntaraSdk(settings) as sdk:
        assert await sdk.get_checkpoint("step-1") == b"one"
        assert (await sdk.checkpoint("step-1", b"two")).existing_state == b"one"
        await sdk.durable_sleep(0.05, checkpoint_id="rest")
        await sdk.custom_event("note", b"hello", event_key="note-1")
        await sdk.custom_event("note", b"hello", event_key="note-1")
        await sdk.completed({"done": True})
    instance = await core.management.get_instance("instance-1")
    assert instance is not None
    assert (instance.status, instance.output, instance.epoch) == (InstanceStatus.COMPLETED, b'{"done":true}', 2)
    events = await core.management.list_events("instance-1", EventFilter(event_type="custom"))
    assert events.total_count == 1
    with pytest.raises(InvalidStateError):
        async with RuntaraSdk(settings):
            pytest.fail("a finished instance was registered again")


async def test_a_signal_reaches_the_program_and_is_acknowledged(core: CoreDaemon, tmp_path: Path) -> None:
    async with RuntaraSdk(instance_settings(core, tmp_path, signal_poll_interval_ms=10)) as sdk:
        await core.management.send_custom_signal("instance-1", CustomSignal("approval", b"yes"))
        assert await sdk.poll_custom_signal("approval") == b"yes"
        await core.management.send_signal("instance-1", SignalType.CANCEL)
        assert (await sdk.checkpoint("step-1")).should_cancel
        await sdk.check_signals()
        pytest.fail("a cancelled program went on")
    assert isinstance(sdk.interruption, InstanceCancelled)
    instance = await core.management.get_instance("instance-1")
    assert instance is not None
    assert instance.status is InstanceStatus.CANCELLED


async def test_a_daemon_that_cannot_bind_leaves_nothing_open(core: CoreDaemon, tmp_path: Path) -> None:
    port = int(core.instance_address.rpartition(":")[2])
    other = CoreDaemon(
        CoreSettings(
            database_url=f"sqlite:///{tmp_path}/other.db",
            instance_port=0,
            management_port=port,
            data_dir=tmp_path,
        )
    )
    with pytest.raises(RuntaraError) as failure:
        await other.start()
    assert "RUNTARA_ADMIN_PORT" in failure.value.message
    with pytest.raises((ConfigurationError, RuntaraError)):
        CoreSettings.from_environment()


async def test_a_core_that_is_away_is_named(core: CoreDaemon, tmp_path: Path) -> None:
    client = client_of(core, tmp_path)
    assert (await client.health_check()).healthy
    await core.close()
    with pytest.raises(TransportError, match="core cannot be reached"):
        await client.health_check()
    await client.close()


# Management

Note = Callable[[str, Any], None]


async def scenario(management: CoreManagement, clock: ManualClock, note: Note) -> None:
    """A walk through every verb; what each answers is noted."""

    async def attempt(name: str, call: Any) -> Any:
        clock.advance(10)
        try:
            answer = await call
        except RuntaraError as error:
            answer = (type(error).__name__, error.code, error.message, error.retryable)
        note(name, answer)
        return answer

    await attempt("health", management.health_check())
    new = NewInstance("a", TENANT, "image-1", b'{"data": 1}', b'{"digest": "x"}')
    await attempt("create", management.create_instance(new))
    await attempt("create again", management.create_instance(new))
    await attempt("create otherwise", management.create_instance(dataclasses.replace(new, tenant_id="tenant-2")))
    await attempt("create without image", management.create_instance(dataclasses.replace(new, image_id="")))
    await attempt("create b", management.create_instance(dataclasses.replace(new, instance_id="b")))
    await attempt("get", management.get_instance("a"))
    await attempt("get of another tenant", management.get_instance("a", tenant_id="tenant-2"))
    await attempt("get unknown", management.get_instance("nobody"))
    claims = await attempt("claim", management.claim_launches("owner-1", limit=1, lease_ms=30_000))
    await attempt("claim one", management.claim_launches("owner-1", limit=5, lease_ms=30_000, instance_id="b"))
    assert [(claim.instance_id, claim.epoch) for claim in claims] == [("a", 1)]
    keys = [LeaseKey("a", 1), LeaseKey("a", 7), LeaseKey("nobody", 1)]
    await attempt("renew", management.renew_leases("owner-2", keys, lease_ms=60_000))
    await attempt("expire", management.expire_leases("owner-1"))
    await attempt("claim of a dead owner", management.claim_launches("owner-1", limit=5, lease_ms=30_000))
    await attempt("claim what was expired", management.claim_launches("owner-2", limit=5, lease_ms=30_000))
    await attempt("signal", management.send_signal("a", SignalType.PAUSE, b"why"))
    await attempt("signal unknown", management.send_signal("nobody", SignalType.CANCEL))
    await attempt("custom signal", management.send_custom_signal("a", CustomSignal("step-1", b"\x00\xff")))
    failure = await attempt(
        "launch failed", management.report_launch_failure(LeaseKey("b", 2), "no room", permanent=False)
    )
    assert failure.status is not None
    report = ExitReport(TerminationReason.CRASHED, -9, "last words \N{SNOWMAN}", 2**33, 2**40)
    await attempt("exit", management.report_exit(LeaseKey("a", 1), report))
    await attempt("exit of the past", management.report_exit(LeaseKey("a", 0), report))
    await attempt("exit unknown", management.report_exit(LeaseKey("nobody", 1), report))
    await attempt("get after exit", management.get_instance("a"))
    await attempt("cancel", management.send_signal("a", SignalType.CANCEL))
    await attempt("cancel again", management.send_signal("a", SignalType.CANCEL))
    await attempt("list", management.list_instances(InstanceFilter(tenant_id=TENANT)))
    done = InstanceFilter(statuses=(InstanceStatus.CANCELLED,), finished_after_ms=0, order_by="finished_at_asc")
    await attempt("list finished", management.list_instances(done))
    await attempt("list no image", management.list_instances(InstanceFilter(image_ids=())))
    await attempt("list oddly", management.list_instances(InstanceFilter(order_by="luck")))
    await attempt("checkpoints", management.list_checkpoints("a", CheckpointFilter(limit=5)))
    await attempt("checkpoint", management.get_checkpoint("a", "step-1"))
    await attempt("events", management.list_events("a", EventFilter(ascending=True)))


def comparable(value: Any) -> Any:
    """What does not depend on the run: tokens are random."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, LaunchClaim):
        return dataclasses.replace(value, token="")
    return value


async def test_the_management_port_answers_as_the_verbs_in_process(tmp_path: Path) -> None:
    answers: list[list[tuple[str, Any]]] = []
    for number, over_the_port in enumerate((False, True)):
        directory = tmp_path / str(number)
        directory.mkdir()
        clock = ManualClock()
        noted: list[tuple[str, Any]] = []

        def note(name: str, answer: Any, into: list[tuple[str, Any]] = noted) -> None:
            into.append((name, comparable(answer)))

        async with running_core(directory, clock) as core:
            if over_the_port:
                client = client_of(core, directory)
                await scenario(client, clock, note)
                await client.close()
            else:
                await scenario(core.management, clock, note)
        answers.append(noted)
    in_process, over_port = answers
    for expected, received in zip(in_process, over_port, strict=True):
        assert received == expected
