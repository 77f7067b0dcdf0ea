"""Programs that an environment launches: instead of waiting long they suspend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from runtara_core.models import NewInstance
from runtara_sdk import (
    CustomSignal,
    InstanceSuspended,
    RuntaraSdk,
    SignalTimeoutError,
    SignalType,
    TerminationReason,
    durable,
)
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.transport.quic import QuicClient

from .conftest import TENANT, Home, now_ms
from .durable_programs import Shop, nap


class TestLaunched:
    """What is only there where somebody launches programs: suspension instead of long waits."""

    @asynccontextmanager
    async def _launch(self, home: Home, instance_id: str = "i") -> AsyncIterator[RuntaraSdk]:
        assert home.daemon is not None
        (claim,) = await home.daemon.management.claim_launches(
            "environment-1", instance_id=instance_id, limit=1, lease_ms=30_000, wait_ms=0
        )
        sdk = home.sdk(instance_id, launch_epoch=claim.epoch, instance_token=claim.token, sleep_threshold_ms=500)
        async with sdk:
            yield sdk

    async def _create(self, home: Home) -> None:
        assert home.daemon is not None
        await home.daemon.management.create_instance(NewInstance("i", TENANT, "image-1", b"{}"))

    async def test_a_long_backoff_suspends_and_keeps_count(self, daemon_home: Home) -> None:
        shop = Shop(failures=1)
        buy = durable(shop.buy, max_retries=1, delay=2_000)
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await buy("A-1")
        assert isinstance(sdk.interruption, InstanceSuspended)
        row = await daemon_home.row()
        assert (row.status, row.termination_reason) == ("suspended", TerminationReason.SLEEPING)
        assert row.wake_at_ms is not None
        await _pass(row.wake_at_ms)
        async with self._launch(daemon_home) as again:
            assert await buy("A-1") == "receipt of A-1"
            await again.completed()
        assert shop.calls == 2

    async def test_a_wait_for_a_signal_suspends_until_it_comes(self, daemon_home: Home) -> None:
        assert daemon_home.daemon is not None
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await sdk.wait_for_signal("approval", timeout=3_600)
        assert isinstance(sdk.interruption, InstanceSuspended)
        row = await daemon_home.row()
        assert (row.status, row.termination_reason) == ("suspended", TerminationReason.WAITING_SIGNAL)
        await daemon_home.daemon.management.send_custom_signal("i", CustomSignal("approval", b"yes"))
        async with self._launch(daemon_home) as again:
            assert await again.wait_for_signal("approval", timeout=3_600) == b"yes"
            await again.completed()

    async def test_a_wait_for_a_signal_ends_at_its_deadline(self, daemon_home: Home) -> None:
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await sdk.wait_for_signal("approval", timeout=1)
        row = await daemon_home.row()
        assert row.wake_at_ms is not None
        await _pass(row.wake_at_ms)
        async with self._launch(daemon_home) as again:
            with pytest.raises(SignalTimeoutError):
                await again.wait_for_signal("approval", timeout=1)
            await again.completed()

    async def test_cancel_of_a_sleeper_takes_effect_at_once(self, daemon_home: Home) -> None:
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await nap(sdk)
        assert await daemon_home.send(SignalType.CANCEL) == "cancelled"
        row = await daemon_home.row()
        assert (row.status, row.wake_at_ms) == ("cancelled", None)

    async def test_unknown_signal_numbers_are_errors(self, daemon_home: Home) -> None:
        async with daemon_home.sdk() as sdk:
            client = QuicClient(daemon_home.server_addr, server_name="localhost", ca_file=daemon_home.ca_file)
            await client.connect()
            message = pb.SignalAck(instance_id="i", acknowledged=True)
            message.MergeFromString(b"\x10\x09")  # signal_type: 9
            answer = await client.call(pb.RpcRequest(signal_ack=message).SerializeToString())
            await client.close()
            assert "signal type 9 is not known" in pb.RpcResponse.FromString(answer).error.message
            await sdk.completed()


async def _pass(time_ms: int) -> None:
    await asyncio.sleep(max(0, time_ms - now_ms()) / 1000)
