"""Signals over real connections: heard at once, through restarts, from other processes, and by clients of old.

Where a clock stands still, nothing but the bell of a write can end a poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runtara_core.daemon import CoreDaemon
from runtara_core.models import NewInstance
from runtara_core.settings import CoreSettings
from runtara_core.storages import open_storage
from runtara_sdk import (
    CustomSignal,
    InstanceCancelled,
    InstancePaused,
    InstanceShutdown,
    InstanceSuperseded,
    RuntaraSdk,
    SignalType,
    TerminationReason,
)
from runtara_sdk.clock import SystemClock
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.testing.clock import ManualClock
from runtara_sdk.transport.quic import QuicClient

TENANT = "tenant-1"
DEADLINE_SECONDS = 120.0


@pytest.fixture(params=["aioquic", "qh3"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip(request.param)
    monkeypatch.setenv("RUNTARA_QUIC_LIBRARY", request.param)
    return str(request.param)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runtara.db"
    return str(request.getfixturevalue("emptied_postgres_database_url"))


@asynccontextmanager
async def running_core(
    directory: Path, database_url: str, *, clock: ManualClock | None = None, port: int = 0
) -> AsyncIterator[CoreDaemon]:
    settings = CoreSettings(database_url, instance_port=port, management_port=0, data_dir=directory)
    daemon = CoreDaemon(settings, clock=clock, serve_management=False)
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.close()


def settings_of(core: CoreDaemon, instance_id: str = "i") -> InstanceSettings:
    return InstanceSettings(
        instance_id,
        TENANT,
        server_addr=core.instance_address,
        ca_file=core.identity.ca_path,
        heartbeat_interval_ms=0,
        sleep_threshold_ms=10**9,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def for_ever(sdk: RuntaraSdk) -> None:
    await sdk.run_interruptible(asyncio.Event().wait())


async def nap(sdk: RuntaraSdk) -> None:
    await sdk.durable_sleep(10**6, "nap")


async def wait_for_signal(sdk: RuntaraSdk) -> None:
    assert await sdk.wait_for_signal("gate") == b"yes"
    await sdk.completed()


async def run(sdk: RuntaraSdk, program: Callable[[RuntaraSdk], Awaitable[None]]) -> BaseException | None:
    async with sdk:
        await program(sdk)
    return sdk.interruption


class TestAtOnce:
    """Neither the clock of core nor that of the program moves."""

    @pytest.mark.parametrize(
        ("program", "signal", "expected"),
        [
            (for_ever, SignalType.CANCEL, InstanceCancelled),
            (nap, SignalType.PAUSE, InstancePaused),
            (nap, SignalType.SHUTDOWN, InstanceShutdown),
            (wait_for_signal, SignalType.CANCEL, InstanceCancelled),
            (wait_for_signal, CustomSignal("gate", b"yes"), type(None)),
            (nap, None, InstanceSuperseded),
        ],
    )
    async def test_what_core_is_told_reaches_the_program(
        self,
        tmp_path: Path,
        database_url: str,
        program: Callable[[RuntaraSdk], Awaitable[None]],
        signal: Any,
        expected: type[Any],
    ) -> None:
        async with running_core(tmp_path, database_url, clock=ManualClock()) as core:
            sdk = RuntaraSdk(settings_of(core), clock=ManualClock())
            running = asyncio.create_task(run(sdk, program))
            polls = 2 if program is wait_for_signal else 1
            await until(lambda: core.polls_waiting == polls or running.done())
            newer = RuntaraSdk(settings_of(core), clock=ManualClock())
            if signal is None:
                await newer.connect()
                await newer.register()
            elif isinstance(signal, CustomSignal):
                await core.management.send_custom_signal("i", signal)
            else:
                await core.management.send_signal("i", signal)
            assert isinstance(await asyncio.wait_for(running, DEADLINE_SECONDS), expected)
            await newer.close()
            await until(lambda: core.polls_held == 0)

    async def test_a_sleeper_that_is_told_to_shut_down_is_due_at_once(self, tmp_path: Path, database_url: str) -> None:
        clock = ManualClock()
        async with running_core(tmp_path, database_url, clock=clock) as core:
            await core.management.create_instance(NewInstance("i", TENANT, "image", b"{}", b"{}"))

            async def launch(owner: str) -> RuntaraSdk:
                (claim,) = await core.management.claim_launches(owner, limit=1, lease_ms=10**6)
                launched = replace(settings_of(core), launch_epoch=claim.epoch, instance_token=claim.token or None)
                return RuntaraSdk(launched, clock=ManualClock())

            running = asyncio.create_task(run(await launch("here"), nap))
            await until(lambda: core.polls_waiting == 1 or running.done())
            await core.management.send_signal("i", SignalType.SHUTDOWN)
            assert isinstance(await asyncio.wait_for(running, DEADLINE_SECONDS), InstanceShutdown)
            row = await core.management.get_instance("i")
            assert row is not None
            assert (row.status, row.termination_reason) == ("suspended", TerminationReason.SHUTDOWN_REQUESTED)
            assert (row.wake_at_ms, row.recovery_attempts) == (clock.now_ms(), 0)
            async with await launch("elsewhere") as again:
                assert await again.poll_signal_now() is None
                assert await again.get_checkpoint("nap") == b""
                await again.completed()
            row = await core.management.get_instance("i")
            assert row is not None
            assert (row.status, row.epoch) == ("completed", 2)


class TestOtherProcesses:
    @pytest.mark.parametrize("program", [for_ever, nap, wait_for_signal])
    async def test_a_signal_written_elsewhere_is_heard(
        self, tmp_path: Path, database_url: str, program: Callable[[RuntaraSdk], Awaitable[None]]
    ) -> None:
        elsewhere = await open_storage(database_url)
        async with running_core(tmp_path, database_url) as core:
            await elsewhere.open()
            running = asyncio.create_task(run(RuntaraSdk(settings_of(core)), program))
            await until(lambda: core.polls_waiting > 0)
            await elsewhere.send_signal("i", SignalType.CANCEL, b"", now_ms=SystemClock().now_ms())
            assert isinstance(await asyncio.wait_for(running, DEADLINE_SECONDS), InstanceCancelled)
            row = await elsewhere.get_instance("i")
            assert row is not None
            assert row.status == "cancelled"
            await elsewhere.close()

    async def test_an_instance_that_is_ended_elsewhere_stops(self, tmp_path: Path, database_url: str) -> None:
        async with running_core(tmp_path, database_url) as core, running_core(tmp_path, database_url) as other:
            sdk, rival = RuntaraSdk(settings_of(core)), RuntaraSdk(settings_of(other))
            running = asyncio.create_task(run(sdk, for_ever))
            await until(lambda: core.polls_waiting == 1)
            async with rival:
                await rival.completed()
            assert isinstance(await asyncio.wait_for(running, DEADLINE_SECONDS), InstanceSuperseded)


class TestRestart:
    async def test_a_guest_of_a_restarted_core_hears_the_signal(self, tmp_path: Path, database_url: str) -> None:
        async with running_core(tmp_path, database_url) as core:
            port = int(core.instance_address.rpartition(":")[2])
            running = asyncio.create_task(run(RuntaraSdk(settings_of(core)), nap))
            await until(lambda: core.polls_waiting == 1)
        async with running_core(tmp_path, database_url, port=port) as core:
            await core.management.send_signal("i", SignalType.CANCEL)
            assert isinstance(await asyncio.wait_for(running, DEADLINE_SECONDS), InstanceCancelled)


class RawClient:
    """A connection that sends what it is told."""

    def __init__(self, core: CoreDaemon) -> None:
        self._client = QuicClient(core.instance_address, ca_file=core.identity.ca_path)
        self._identity: dict[str, Any] = {}

    async def register(self) -> None:
        answer = await self.call(register_instance=pb.RegisterInstanceRequest(instance_id="i", tenant_id=TENANT))
        registration = answer.register_instance
        self._identity = {"epoch": registration.epoch, "instance_token": registration.instance_token}

    async def call(self, **request: Any) -> pb.RpcResponse:
        payload = pb.RpcRequest(**request, **self._identity).SerializeToString()
        return pb.RpcResponse.FromString(await self._client.call(payload, timeout_ms=60_000))

    async def poll(self, **fields: Any) -> pb.PollSignalsResponse:
        return (await self.call(poll_signals=pb.PollSignalsRequest(instance_id="i", **fields))).poll_signals

    def hold(self) -> asyncio.Task[pb.PollSignalsResponse]:
        return asyncio.create_task(self.poll(wait_ms=30_000))

    async def close(self) -> None:
        await self._client.close()


class TestClients:
    async def test_a_client_without_the_field_is_answered_at_once(self, tmp_path: Path, database_url: str) -> None:
        async with running_core(tmp_path, database_url, clock=ManualClock()) as core:
            client = RawClient(core)
            await client.register()
            answer = await asyncio.wait_for(client.poll(), DEADLINE_SECONDS)
            assert not answer.HasField("signal")
            await client.close()

    async def test_an_abandoned_call_and_a_lost_client_are_held_no_longer(
        self, tmp_path: Path, database_url: str
    ) -> None:
        async with running_core(tmp_path, database_url, clock=ManualClock()) as core:
            client = RawClient(core)
            await client.register()
            first, second = client.hold(), client.hold()
            await until(lambda: core.polls_waiting == 2)
            first.cancel()
            await until(lambda: core.polls_held == 1)
            await client.close()
            await until(lambda: core.polls_held == 0)
            await asyncio.gather(first, second, return_exceptions=True)

    async def test_the_end_of_core_answers_what_it_holds(self, tmp_path: Path, database_url: str) -> None:
        async with running_core(tmp_path, database_url, clock=ManualClock()) as core:
            client = RawClient(core)
            await client.register()
            held = [client.hold() for _ in range(3)]
            await until(lambda: core.polls_waiting == 3)
        for each in held:
            assert await asyncio.wait_for(each, DEADLINE_SECONDS) == pb.PollSignalsResponse()
        await client.close()

    async def test_held_polls_leave_room_for_other_calls(
        self, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNTARA_QUIC_MAX_HANDLERS", "4")
        async with running_core(tmp_path, database_url, clock=ManualClock()) as core:
            client = RawClient(core)
            await client.register()
            polls = [client.hold() for _ in range(10)]
            await until(lambda: sum(poll.done() for poll in polls) == 8)
            checkpoint = pb.CheckpointRequest(instance_id="i", checkpoint_id="step", state=b"1")
            answer = await asyncio.wait_for(client.call(checkpoint=checkpoint), DEADLINE_SECONDS)
            assert answer.WhichOneof("response") == "checkpoint"
            assert core.polls_held == 2
            await core.management.send_signal("i", SignalType.CANCEL)
            for poll in [poll for poll in polls if not poll.done()]:
                assert (await asyncio.wait_for(poll, DEADLINE_SECONDS)).HasField("signal")
            await client.close()
