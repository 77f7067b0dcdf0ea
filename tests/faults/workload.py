"""Instances that use every verb, and what must be true of them afterwards, whatever happened on the way."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path

from runtara_core.daemon import CoreDaemon
from runtara_core.management import CoreManagement
from runtara_core.models import EventFilter
from runtara_sdk.instance import RuntaraSdk
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import CustomSignal, InstanceStatus, SignalType

TENANT = "tenant"


def connection_settings(instance_id: str, address: str, ca_file: Path | None) -> InstanceSettings:
    return InstanceSettings(
        instance_id,
        TENANT,
        server_addr=address,
        ca_file=ca_file,
        connect_timeout_ms=3_000,
        request_timeout_ms=8_000,
        reconnect_deadline_ms=90_000,
        signal_poll_interval_ms=50,
        heartbeat_interval_ms=200,
    )


def sdk_of(daemon: CoreDaemon, instance_id: str, address: str | None = None) -> RuntaraSdk:
    """An instance of `daemon`, through `address` when given."""
    ca_file = daemon.identity.ca_path
    return RuntaraSdk(connection_settings(instance_id, address or daemon.instance_address, ca_file))


def state_of(instance_id: str, step: int) -> bytes:
    """What an instance computes in a step; some states take many packets."""
    source = random.Random(f"{instance_id} {step}")
    return source.randbytes(source.choice((10, 500, 5_000, 60_000)))


async def run_instance(sdk: RuntaraSdk, steps: int, acknowledged: dict[str, bytes]) -> None:
    """Checkpoints, events, a sleep and a signal; notes what the store has acknowledged."""
    digest = hashlib.sha256()
    async with sdk:
        for step in range(steps):
            state = state_of(sdk.instance_id, step)
            result = await sdk.checkpoint(f"step-{step}", state)
            stored = result.state if result.found else state
            acknowledged[f"step-{step}"] = stored
            digest.update(stored)
            await sdk.custom_event("progress", b"%d" % step, event_key=f"progress-{step}")
            if step == steps // 3:
                await sdk.durable_sleep(0.05, "nap")
            if step == steps // 2:
                digest.update(await _custom_signal(sdk))
        await sdk.completed({"steps": steps, "digest": digest.hexdigest()})


async def run_until_cancelled(sdk: RuntaraSdk, started: asyncio.Event) -> None:
    """Goes on until a cancel reaches it."""
    step = 0
    async with sdk:
        while True:
            await sdk.checkpoint(f"step-{step}", b"")
            await sdk.check_signals()
            started.set()
            step += 1


async def _custom_signal(sdk: RuntaraSdk) -> bytes:
    while True:
        payload = await sdk.poll_custom_signal("go")
        if payload is not None:
            return payload
        await sdk.check_signals()
        await sdk.run_interruptible(asyncio.sleep(0.02))


async def send_go(management: CoreManagement, instance_id: str) -> None:
    await management.send_custom_signal(instance_id, CustomSignal("go", instance_id.encode()))


async def cancel(management: CoreManagement, instance_id: str) -> None:
    await management.send_signal(instance_id, SignalType.CANCEL)


def expected_output(instance_id: str, steps: int) -> bytes:
    """The output of an undisturbed run."""
    digest = hashlib.sha256()
    for step in range(steps):
        digest.update(state_of(instance_id, step))
        if step == steps // 2:
            digest.update(instance_id.encode())
    return b'{"steps":%d,"digest":"%s"}' % (steps, digest.hexdigest().encode())


async def check_finished(
    management: CoreManagement, instance_id: str, steps: int, acknowledged: dict[str, bytes]
) -> None:
    """Completed with the output of an undisturbed run, each checkpoint and each event there once."""
    instance = await management.get_instance(instance_id)
    assert instance is not None
    assert instance.status is InstanceStatus.COMPLETED, instance
    assert (instance.output or b"").replace(b" ", b"") == expected_output(instance_id, steps)
    assert len(acknowledged) == steps
    for checkpoint_id, state in acknowledged.items():
        record = await management.get_checkpoint(instance_id, checkpoint_id)
        assert record is not None, f"{instance_id}: {checkpoint_id} was acknowledged and is lost"
        assert record.state == state, f"{instance_id}: {checkpoint_id} has other bytes than were acknowledged"
    events = await management.list_events(instance_id, EventFilter(subtype="progress", ascending=True, limit=1_000))
    assert [event.payload for event in events.events] == [b"%d" % step for step in range(steps)]
