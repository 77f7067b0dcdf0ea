"""Who may manage: a tenant sees and changes its own alone, core obeys operators alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from runtara_core.management_client import ManagementClient
from runtara_environment.wire.tenant_gate import OPEN_VERBS, OPERATOR_VERBS, TENANTLESS_VERBS
from runtara_sdk import PermissionDeniedError, UnauthenticatedError
from runtara_sdk.clock import SystemClock
from runtara_sdk.models import InstanceStatus
from runtara_sdk.protocol import environment_pb2, management_pb2

from .running_platform import SLEEPER, Platform, until

SECRET_OF_B = "the-secret-of-b"
VERBS = [field.name for field in environment_pb2.RpcRequest.DESCRIPTOR.oneofs_by_name["request"].fields]


@dataclass
class TwoTenants:
    """What tenant B has, and the keys of both."""

    platform: Platform
    key_a: str
    key_b: str
    image_id: str
    instance_id: str


@pytest.fixture
async def tenants(platform: Platform) -> TwoTenants:
    key_a, key_b = await platform.key("tenant-a"), await platform.key("tenant-b")
    sdk = platform.management(key_b)

    async def registered() -> Any:
        # The environment has read its keys before these were made.
        try:
            return await sdk.register_image("tenant-b", SECRET_OF_B, SLEEPER, description=SECRET_OF_B)
        except UnauthenticatedError:
            return None

    image = await until(registered, "an image")
    started = await sdk.start_instance(
        image.image_id, "tenant-b", instance_id="instance-of-b", input_envelope={"data": SECRET_OF_B}
    )

    async def has_started() -> bool:
        instance = await platform.storage.get_instance(started.instance_id)
        return instance is not None and instance.status is InstanceStatus.RUNNING

    await until(has_started, "a running instance")
    return TwoTenants(platform, key_a, key_b, image.image_id, started.instance_id)


def request_of(verb: str, *, instance_id: str, image_id: str) -> environment_pb2.RpcRequest:
    """A call of any verb by reflection: a new one is tested without a word here."""
    request = environment_pb2.RpcRequest()
    call = getattr(request, verb)
    call.SetInParent()
    given = {
        "instance_id": instance_id,
        "origin_id": instance_id,
        "image_id": image_id,
        "checkpoint_id": "step",
        "scope_id": "sc_step",
        "end_time_ms": 86_400_000,
        "name": "name",
        "binary": SLEEPER,
        "runner_type": environment_pb2.RUNNER_NATIVE,
        "input": b"{}",
    }
    for field in call.DESCRIPTOR.fields:
        if field.name in given:
            setattr(call, field.name, given[field.name])
    return request


async def state_of(tenants: TwoTenants) -> object:
    """Everything of tenant B that a call could change."""
    storage = tenants.platform.storage
    instance = await storage.get_instance(tenants.instance_id)
    assert instance is not None
    poll = await storage.poll_signals(tenants.instance_id, instance.epoch, "step", now_ms=instance.created_at_ms)
    images = await tenants.platform.management(tenants.key_b).list_images()
    stable = replace(instance, last_contact_at_ms=None, lease_until_ms=None)
    return stable, poll, images


@pytest.mark.parametrize("verb", VERBS)
async def test_no_call_crosses_the_border_of_a_tenant(tenants: TwoTenants, verb: str) -> None:
    platform = tenants.platform
    before = await state_of(tenants)
    request = request_of(verb, instance_id=tenants.instance_id, image_id=tenants.image_id)

    # Nobody's call.
    for key in (None, "rtk_0123456789abcdef_" + "a" * 43):
        anonymous = environment_pb2.RpcRequest.FromString(request.SerializeToString())
        if key is not None:
            anonymous.api_key = key
        answer = await platform.ask_environment(anonymous)
        assert (answer.error.code == "UNAUTHENTICATED") == (verb not in OPEN_VERBS), answer

    # Tenant A naming tenant B.
    if "tenant_id" in getattr(request, verb).DESCRIPTOR.fields_by_name:
        forward = environment_pb2.RpcRequest.FromString(request.SerializeToString())
        forward.api_key = tenants.key_a
        getattr(forward, verb).tenant_id = "tenant-b"
        assert (await platform.ask_environment(forward)).error.code == "PERMISSION_DENIED"
    elif verb in OPERATOR_VERBS:
        refused = environment_pb2.RpcRequest.FromString(request.SerializeToString())
        refused.api_key = tenants.key_a
        assert (await platform.ask_environment(refused)).error.code == "PERMISSION_DENIED"
    else:
        assert verb in OPEN_VERBS | TENANTLESS_VERBS, f"{verb} names no tenant: add tenant_id to its request"

    # Tenant A with what belongs to B: as with what does not exist at all.
    request.api_key = tenants.key_a
    answer = await platform.ask_environment(request)
    assert SECRET_OF_B not in str(answer)
    if verb not in OPEN_VERBS:
        unknown = request_of(verb, instance_id="instance-of-x", image_id="image-of-x")
        unknown.api_key = tenants.key_a
        expected = str(await platform.ask_environment(unknown))
        expected = expected.replace("instance-of-x", tenants.instance_id).replace("image-of-x", tenants.image_id)
        assert str(answer) == expected
    assert await state_of(tenants) == before


@pytest.mark.parametrize("verb", ["get_instance_status", "list_instances", "list_events", "list_checkpoints"])
async def test_owner_and_operator_see_it(tenants: TwoTenants, verb: str) -> None:
    """The counterpart: the test above would pass if nobody could see anything."""
    operator = await tenants.platform.key(None)

    async def visible(key: str) -> bool:
        request = request_of(verb, instance_id=tenants.instance_id, image_id=tenants.image_id)
        request.api_key = key
        answer = await tenants.platform.ask_environment(request)
        return answer.WhichOneof("response") == verb and ("list" not in verb or getattr(answer, verb).total_count >= 0)

    assert await visible(tenants.key_b)
    await until(lambda: visible(operator), "the operator's view")


async def test_a_tenant_sees_its_own_alone(tenants: TwoTenants) -> None:
    platform = tenants.platform
    sdk_a, sdk_b = platform.management(tenants.key_a), platform.management(tenants.key_b)
    assert (await sdk_a.list_images()).total_count == 0
    assert (await sdk_a.list_instances()).total_count == 0
    assert [image.image_id for image in (await sdk_b.list_images()).images] == [tenants.image_id]
    assert [each.instance_id for each in (await sdk_b.list_instances()).instances] == [tenants.instance_id]
    with pytest.raises(PermissionDeniedError):
        await sdk_a.list_instances(tenant_id="tenant-b")
    for stolen in (b"", SLEEPER):

        async def chunks(content: bytes = stolen) -> AsyncIterator[bytes]:
            yield content

        with pytest.raises(PermissionDeniedError):
            await sdk_a.register_image_stream("tenant-b", SECRET_OF_B, chunks())


async def test_a_revoked_key_ends_without_a_restart(tenants: TwoTenants) -> None:
    sdk = tenants.platform.management(tenants.key_b)
    await sdk.list_instances()
    await tenants.platform.storage.credentials.revoke_api_key(
        tenants.key_b.split("_")[1], now_ms=SystemClock().now_ms()
    )

    async def is_refused() -> bool:
        try:
            await sdk.list_instances()
        except UnauthenticatedError:
            return True
        return False

    await until(is_refused, "a refusal")


async def test_core_is_managed_by_operators_alone(platform: Platform) -> None:
    address = f"127.0.0.1:{platform.core.management_port}"
    tenant, operator = await platform.key("tenant-a"), await platform.key(None)
    verbs = [field.name for field in management_pb2.RpcRequest.DESCRIPTOR.oneofs_by_name["request"].fields]

    async def code(verb: str, key: str | None) -> str:
        request = management_pb2.RpcRequest(api_key=key)
        getattr(request, verb).SetInParent()
        return str((await platform.ask(management_pb2, address, request)).error.code)

    async def known() -> bool:
        return await code("get_instance", operator) == ""

    await until(known, "the operator's key")
    for verb in verbs:
        if verb == "health_check":
            assert await code(verb, None) == ""
        else:
            assert await code(verb, None) == "UNAUTHENTICATED"
            assert await code(verb, tenant) == "PERMISSION_DENIED"
            assert await code(verb, operator) not in ("UNAUTHENTICATED", "PERMISSION_DENIED")
    client = ManagementClient(platform.client(address))
    assert (await client.health_check()).healthy
    with pytest.raises(UnauthenticatedError, match="core refuses the environment: this call needs an API key"):
        await client.get_instance("any")
