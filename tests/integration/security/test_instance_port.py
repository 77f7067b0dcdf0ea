"""Who reaches an instance: its own launch by token, a program started by hand by a key of the tenant."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from runtara_core.security import TokenSecret
from runtara_sdk import PermissionDeniedError, RuntaraError, RuntaraSdk, UnauthenticatedError
from runtara_sdk.errors import StaleEpochError
from runtara_sdk.models import InstanceStatus, NewCheckpoint
from runtara_sdk.protocol import instance_pb2

from .running_platform import DEADLINE_SECONDS, Platform, running_platform, until


@pytest.mark.parametrize("with_keys", [False, True])
async def test_a_guest_reaches_its_own_instance_alone(tmp_path: Path, with_keys: bool) -> None:
    async with running_platform(tmp_path, with_keys=with_keys, with_environment=False) as platform:
        mine, other = await platform.claim("mine", "tenant-a"), await platform.claim("other", "tenant-a")
        foreign = await platform.claim("foreign", "tenant-b")
        guest = platform.guest(mine)
        await guest.register(None)
        await guest.checkpoint("step", b"mine")
        for victim in (other, foreign):
            owner = platform.guest(victim)
            await owner.register(None)
            await owner.checkpoint("step", b"theirs")
            # The token of one with the name, and even the epoch, of the other.
            thief = platform.guest(replace(victim, token=mine.token))
            for attempt in (
                thief.register(None),
                thief.checkpoint("step", b"stolen"),
                thief.checkpoints([NewCheckpoint("step", b"stolen"), NewCheckpoint("other", b"stolen")]),
                thief.get_checkpoint("step"),
                thief.poll_signals(None),
                thief.sleep("nap", 1, b"", suspend_above_ms=1),
            ):
                with pytest.raises(PermissionDeniedError):
                    await attempt
            # Without any token, as launched or as a client of the original protocol.
            for nobody in (replace(victim, token=""), replace(victim, token="rti1.AAAA.AAAA")):
                for call in (
                    platform.guest(nobody).get_checkpoint("step"),
                    platform.guest(nobody).checkpoint("x", b""),
                ):
                    with pytest.raises(UnauthenticatedError):
                        await call
            anonymous = platform.backend(platform.instance(victim.instance_id, victim.tenant_id))
            for call in (anonymous.get_checkpoint("step"), anonymous.get_instance_status(victim.instance_id)):
                with pytest.raises(UnauthenticatedError):
                    await call
            with pytest.raises(UnauthenticatedError if with_keys else StaleEpochError):
                await anonymous.checkpoint("step", b"stolen")
            assert await owner.get_checkpoint("step") == b"theirs"
        assert (await guest.get_instance_status("other")).status is InstanceStatus.RUNNING
        assert not (await guest.get_instance_status("foreign")).found
        assert not (await guest.get_instance_status("unknown")).found


async def test_the_token_of_an_older_launch_is_stale(open_core: Platform) -> None:
    claim = await open_core.claim("mine", "tenant-a")
    guest = open_core.guest(claim)
    await guest.register(None)
    await open_core.core.management.expire_leases("by-hand")
    (again,) = await open_core.core.management.claim_launches("another", limit=1, lease_ms=600_000, instance_id="mine")
    assert again.epoch == claim.epoch + 1
    with pytest.raises(StaleEpochError):
        await guest.checkpoint("step", b"")
    # Naming the new epoch does not help without its token.
    with pytest.raises(StaleEpochError):
        await open_core.guest(replace(again, token=claim.token)).checkpoint("step", b"")
    await open_core.guest(again).register(None)


async def test_tokens_survive_a_rotation_and_a_restart_of_core(tmp_path: Path) -> None:
    async with running_platform(tmp_path, with_keys=False, with_environment=False) as platform:
        claim = await platform.claim("mine", "tenant-a")
        await platform.guest(claim).register(None)
        await platform.storage.credentials.rotate_token_secret(TokenSecret.generate(), now_ms=1)
    async with running_platform(tmp_path, with_keys=False, with_environment=False) as platform:
        await platform.guest(claim).checkpoint("step", b"state")
        await platform.storage.credentials.rotate_token_secret(TokenSecret.generate(), now_ms=2)
    async with running_platform(tmp_path, with_keys=False, with_environment=False) as platform:
        with pytest.raises(UnauthenticatedError):
            await platform.guest(claim).checkpoint("step", b"state")


async def test_a_program_started_by_hand_registers_with_a_key_of_its_tenant(platform: Platform) -> None:
    key_a, key_b = await platform.key("tenant-a"), await platform.key("tenant-b")

    async def refusal(key: str | None) -> type[RuntaraError] | None:
        try:
            await platform.backend(platform.instance("refused", "tenant-a", api_key=key)).register(None)
        except RuntaraError as error:
            return type(error)
        return None

    async def is_foreign() -> bool:
        return await refusal(key_b) is PermissionDeniedError

    await until(is_foreign, "the keys to be known")
    assert await refusal(None) is UnauthenticatedError
    assert await refusal("rtk_x_y") is UnauthenticatedError
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        RuntaraSdk(platform.instance("own", "tenant-a", api_key=key_a)) as sdk,
    ):
        await sdk.checkpoint("step", b"state")
        await sdk.completed({"done": True})
    instance = await platform.storage.get_instance("own")
    assert instance is not None
    assert instance.status is InstanceStatus.COMPLETED


async def test_without_keys_a_program_of_its_own_needs_none(open_platform: Platform) -> None:
    async with RuntaraSdk(open_platform.instance("own", "tenant-a")) as sdk:
        await sdk.checkpoint("step", b"state")
        await sdk.completed({})
    # A client of the original protocol: no epoch, no token.
    request = instance_pb2.RpcRequest(
        register_instance=instance_pb2.RegisterInstanceRequest(instance_id="original", tenant_id="tenant-a")
    )
    answer = await open_platform.ask_instance_port(request)
    assert answer.register_instance.success
    request = instance_pb2.RpcRequest(
        checkpoint=instance_pb2.CheckpointRequest(instance_id="original", checkpoint_id="step", state=b"s")
    )
    assert not (await open_platform.ask_instance_port(request)).checkpoint.found
