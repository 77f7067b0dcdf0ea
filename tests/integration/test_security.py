"""Who may do what, over real ports: instances by their tokens, tenants and operators by their keys."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from runtara_core.certificates import RotationStep, rotate_authority
from runtara_core.daemon import CoreDaemon
from runtara_core.management_client import ManagementClient
from runtara_core.models import LaunchClaim, NewInstance
from runtara_core.security import TokenSecret, issue_api_key
from runtara_core.security.key_ring import REFRESH_MS
from runtara_core.settings import CoreSettings
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_environment.daemon import EnvironmentDaemon
from runtara_environment.development import run_development
from runtara_environment.launch_table import LaunchTable
from runtara_environment.settings import EnvironmentSettings
from runtara_environment.wire.tenant_gate import OPEN_VERBS, TENANTLESS_VERBS
from runtara_sdk import (
    ConfigurationError,
    InstanceSettings,
    ManagementSdk,
    ManagementSettings,
    PermissionDeniedError,
    RuntaraError,
    RuntaraSdk,
    UnauthenticatedError,
)
from runtara_sdk.clock import SystemClock
from runtara_sdk.errors import StaleEpochError
from runtara_sdk.models import InstanceStatus
from runtara_sdk.protocol import environment_pb2, instance_pb2, management_pb2
from runtara_sdk.quic_backend import QuicBackend
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.testing.clock import ManualClock
from runtara_sdk.transport import QuicClient, TlsIdentity

DEADLINE_SECONDS = 60.0
SLEEPER = b"#!/bin/sh\nexec sleep 600\n"
LEAKY = b'#!/bin/sh\nenv > "$RUNTARA_WORKSPACE_DIR/variables"\necho "token $RUNTARA_INSTANCE_TOKEN" >&2\nexit 3\n'
SECRET_OF_B = "the-secret-of-b"


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (value := await condition()):
            await asyncio.sleep(0.05)
    assert value, what
    return value


@dataclass
class Platform:
    """Core and environment with their ports, and the storage behind them."""

    data_dir: Path
    storage: Storage
    core: CoreDaemon
    environment: EnvironmentDaemon | None
    stack: AsyncExitStack

    @property
    def environment_address(self) -> str:
        assert self.environment is not None
        return self.environment.address

    async def key(self, tenant_id: str | None) -> str:
        return await make_key(self.storage, tenant_id)

    def client(self, address: str) -> QuicClient:
        client = QuicClient(address, ca_file=self.core.identity.ca_path)
        self.stack.push_async_callback(client.close)
        return client

    async def ask(self, wrapper: Any, address: str, request: Any) -> Any:
        payload = await self.client(address).call(request.SerializeToString())
        return wrapper.RpcResponse.FromString(payload)

    async def ask_environment(self, request: environment_pb2.RpcRequest) -> environment_pb2.RpcResponse:
        return await self.ask(environment_pb2, self.environment_address, request)

    async def ask_instance_port(self, request: instance_pb2.RpcRequest) -> instance_pb2.RpcResponse:
        return await self.ask(instance_pb2, self.core.instance_address, request)

    def management(self, api_key: str | None, tenant_id: str | None = None) -> ManagementSdk:
        settings = ManagementSettings(
            self.environment_address, ca_file=self.core.identity.ca_path, api_key=api_key, tenant_id=tenant_id
        )
        sdk = ManagementSdk(settings)
        self.stack.push_async_callback(sdk.close)
        return sdk

    def instance(self, instance_id: str, tenant_id: str, **settings: Any) -> InstanceSettings:
        return InstanceSettings(
            instance_id,
            tenant_id,
            self.core.instance_address,
            ca_file=self.core.identity.ca_path,
            heartbeat_interval_ms=0,
            **settings,
        )

    def guest(self, claim: LaunchClaim) -> QuicBackend:
        """A launched program's way to core."""
        return self.backend(
            self.instance(
                claim.instance_id, claim.tenant_id, launch_epoch=claim.epoch, instance_token=claim.token or None
            )
        )

    def backend(self, settings: InstanceSettings) -> QuicBackend:
        backend = QuicBackend(settings)
        self.stack.push_async_callback(backend.close)
        return backend

    async def claim(self, instance_id: str, tenant_id: str) -> LaunchClaim:
        """Launch an instance by hand: nothing runs."""
        management = self.core.management
        await management.create_instance(NewInstance(instance_id, tenant_id, "image", b"{}"))
        (claim,) = await management.claim_launches("by-hand", limit=1, lease_ms=600_000, instance_id=instance_id)
        return claim


async def make_key(storage: Storage, tenant_id: str | None) -> str:
    issued = issue_api_key(tenant_id=tenant_id, name="", now_ms=SystemClock().now_ms())
    await storage.credentials.create_api_key(issued.record)
    return issued.text


@asynccontextmanager
async def running_platform(
    data_dir: Path, *, with_keys: bool, with_environment: bool = True
) -> AsyncIterator[Platform]:
    """Daemons in this process on SQLite; with keys the environment has an operator's.

    Without an environment a test claims launches itself.
    """
    url = f"sqlite:///{data_dir}/runtara.db"
    async with AsyncExitStack() as stack:
        storage = await open_storage(url)
        await storage.open()
        stack.push_async_callback(storage.close)
        operator = await make_key(storage, None) if with_keys else None
        core = CoreDaemon(CoreSettings(url, instance_port=0, management_port=0, data_dir=data_dir))
        await core.start()
        stack.push_async_callback(core.close)
        environment = None
        if with_environment:
            environment = EnvironmentDaemon(
                EnvironmentSettings(
                    url,
                    data_dir,
                    port=0,
                    core_address=core.instance_address,
                    core_management_address=f"127.0.0.1:{core.management_port}",
                    api_key=operator,
                )
            )
            await environment.start()
            stack.push_async_callback(environment.close)
            stack.push_async_callback(environment._environment.close, stop_guests=True)
        yield Platform(data_dir, storage, core, environment, stack)


@pytest.fixture
async def open_platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path, with_keys=False) as platform:
        yield platform


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path, with_keys=True) as platform:
        yield platform


@pytest.fixture
async def open_core(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path, with_keys=False, with_environment=False) as platform:
        yield platform


# The instance port


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


# The environment's port

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
        "image_id": image_id,
        "checkpoint_id": "step",
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


async def test_a_revoked_key_ends_within_seconds(tenants: TwoTenants) -> None:
    sdk = tenants.platform.management(tenants.key_b)
    await sdk.list_instances()
    await tenants.platform.storage.credentials.revoke_api_key(
        tenants.key_b.split("_")[1], now_ms=SystemClock().now_ms()
    )
    loop = asyncio.get_running_loop()
    revoked_at = loop.time()

    async def is_refused() -> bool:
        try:
            await sdk.list_instances()
        except UnauthenticatedError:
            return True
        return False

    await until(is_refused, "a refusal")
    assert loop.time() < revoked_at + REFRESH_MS / 1000 + 2


# Core's management port


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
    with pytest.raises(UnauthenticatedError):
        await client.get_instance("any")


# Secrets that show nowhere


async def test_the_token_is_for_the_program_alone(open_platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sdk = open_platform.management(None)
    image = await sdk.register_image("tenant-a", "leaky", LEAKY)
    await sdk.start_instance(image.image_id, "tenant-a", instance_id="leaky")

    async def has_ended() -> bool:
        info = await sdk.get_instance_status("leaky")
        return info.stderr is not None

    await until(has_ended, "an exit")
    runs = open_platform.data_dir / "tenant-a" / "runs" / "leaky"
    variables = (runs / "workspace" / "variables").read_text()
    token = next(line for line in variables.splitlines() if line.startswith("RUNTARA_INSTANCE_TOKEN=rti1."))
    token = token.partition("=")[2]
    info = await sdk.get_instance_status("leaky")
    assert info.stderr == "token [redacted]\n"
    events = await sdk.list_events("leaky")
    assert "rti1." not in f"{info!r} {events!r}"
    assert token not in caplog.text
    assert "RUNTARA_API_KEY" not in variables
    assert not (runs / "launch-1" / "spec.bin").exists()


async def test_a_running_launch_keeps_the_token_from_rows_and_command_lines(tmp_path: Path) -> None:
    async with running_platform(tmp_path, with_keys=False) as platform:
        sdk = platform.management(None)
        image = await sdk.register_image("tenant-a", "sleeper", SLEEPER)
        await sdk.start_instance(image.image_id, "tenant-a", instance_id="sleeper")

        async def processes() -> list[Path]:
            found = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit() and _names(folder, tmp_path)]
            return [folder for folder in found if b"RUNTARA_INSTANCE_TOKEN=rti1." in _read(folder / "environ")]

        (program,) = await until(processes, "the program")
        assert b"rti1." not in _read(program / "cmdline")
        assert (program / "environ").stat().st_mode & 0o077 == 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                assert b"rti1." not in _read(folder / "cmdline")
        launches = LaunchTable(platform.environment._environment._database)
        rows = await launches.of_host((tmp_path / "host-id").read_text().strip())
        assert len(rows) == 1
        assert "rti1." not in repr(rows)
        await sdk.stop_instance("sleeper", grace_period_seconds=1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _names(folder: Path, directory: Path) -> bool:
    return str(directory).encode() in _read(folder / "environ")


# Loopback only


async def test_other_machines_are_served_only_with_keys(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runtara.db"
    core = CoreSettings(url, instance_port=0, management_port=0, data_dir=tmp_path, bind_address="0.0.0.0")
    environment = EnvironmentSettings(url, tmp_path, port=0, bind_address="0.0.0.0")

    async def develop() -> None:
        await run_development(
            tmp_path,
            None,
            bind_address="0.0.0.0",
            environment_port=0,
            core_port=0,
            on_ready=lambda _core, _environment: pytest.fail("served"),
        )

    for start in (CoreDaemon(core).start, EnvironmentDaemon(environment).start, develop):
        with pytest.raises(ConfigurationError, match="runtara keys create --operator"):
            await start()
    storage = await open_storage(url)
    await storage.open()
    key = await make_key(storage, None)
    daemon = CoreDaemon(core)
    await daemon.start()
    try:
        # Even when the last key is revoked, the exposed port does not open itself.
        await storage.credentials.revoke_api_key(key.split("_")[1], now_ms=1)
        backend = QuicBackend(
            InstanceSettings("own", "tenant-a", daemon.instance_address, ca_file=daemon.identity.ca_path, api_key=key)
        )

        async def is_refused() -> bool:
            try:
                await backend.register(None)
            except UnauthenticatedError:
                return True
            return False

        await until(is_refused, "a refusal")
        await backend.close()
    finally:
        await daemon.close()
        await storage.close()


# Certificates


@pytest.mark.parametrize("library", ["aioquic", "qh3"])
async def test_clients_follow_a_new_authority_while_core_runs(
    tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTARA_QUIC_LIBRARY", library)
    clock = ManualClock()
    core = CoreDaemon(
        CoreSettings(f"sqlite:///{tmp_path}/runtara.db", instance_port=0, management_port=0, data_dir=tmp_path),
        clock=clock,
    )
    await core.start()
    copied = tmp_path / "copied-ca.pem"
    live = core.identity.ca_path
    assert live is not None

    async def is_trusted(ca_file: Path) -> bool:
        client = QuicClient(core.instance_address, ca_file=ca_file, connect_timeout_ms=30_000)
        try:
            await client.connect()
        except RuntaraError:
            return False
        finally:
            await client.close()
        return True

    async def shows_another_certificate() -> bool:
        clock.advance(61_000)
        return (live.parent / "server.pem").read_bytes() != before

    try:
        copied.write_bytes(live.read_bytes())
        assert await is_trusted(copied)
        rotate_authority(tmp_path, RotationStep.PREPARE)
        assert await is_trusted(copied)
        assert await is_trusted(live)
        before = (live.parent / "server.pem").read_bytes()
        rotate_authority(tmp_path, RotationStep.SWITCH)
        await until(shows_another_certificate, "a new server certificate")

        async def old_copy_is_refused() -> bool:
            return not await is_trusted(copied)

        await until(old_copy_is_refused, "the new certificate on the port")
        assert await is_trusted(live)
        rotate_authority(tmp_path, RotationStep.FINISH)
        assert await is_trusted(live)
    finally:
        await core.close()


async def test_a_given_certificate_is_shown(tmp_path: Path) -> None:
    ca_file, identity = make_test_authority(tmp_path / "given", host_name="core.example.org")
    core = CoreDaemon(
        CoreSettings(
            f"sqlite:///{tmp_path}/runtara.db",
            instance_port=0,
            management_port=0,
            data_dir=tmp_path / "data",
            tls=TlsIdentity(identity.certificate_path, identity.private_key_path),
        )
    )
    await core.start()
    try:
        client = QuicClient(core.instance_address, server_name="core.example.org", ca_file=ca_file)
        await client.connect()
        await client.close()
        assert not (tmp_path / "data" / "tls").exists()
    finally:
        await core.close()


async def test_a_given_certificate_that_is_replaced_is_shown_without_a_restart(tmp_path: Path) -> None:
    old_ca, given = make_test_authority(tmp_path / "given")
    new_ca, successor = make_test_authority(tmp_path / "successor")
    clock = ManualClock()
    core = CoreDaemon(
        CoreSettings(
            f"sqlite:///{tmp_path}/runtara.db", instance_port=0, management_port=0, data_dir=tmp_path, tls=given
        ),
        clock=clock,
    )
    await core.start()

    async def trusts(ca_file: Path) -> bool:
        client = QuicClient(core.instance_address, ca_file=ca_file, connect_timeout_ms=30_000)
        try:
            await client.connect()
        except RuntaraError:
            return False
        finally:
            await client.close()
        return True

    async def new_is_shown() -> bool:
        clock.advance(61_000)
        return await trusts(new_ca)

    try:
        assert await trusts(old_ca)
        assert not await trusts(new_ca)
        given.private_key_path.write_bytes(successor.private_key_path.read_bytes())
        # Between the two writes the pair does not fit: the old certificate stays, with a warning.
        clock.advance(61_000)
        assert await trusts(old_ca)
        given.certificate_path.write_bytes(successor.certificate_path.read_bytes())
        await until(new_is_shown, "the new certificate")
        assert not await trusts(old_ca)
    finally:
        await core.close()
