"""Images by way of an environment's port: bounds, checksums, versions, signatures, and a byte that flips."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from runtara_compiler.native.artifact import write_artifact
from runtara_compiler.native.layers import write_layer
from runtara_core.database import Database, create_database
from runtara_environment import migrations
from runtara_environment.agents import AgentServices
from runtara_environment.local import local_environment
from runtara_environment.registry import ImageRegistry
from runtara_environment.settings import AgentTestingSettings, RegistrySettings, SupervisionSettings
from runtara_environment.sql.queries import environment_queries
from runtara_environment.supervision.guest_network import GuestNetwork
from runtara_environment.wire.handler import EnvironmentHandler
from runtara_environment.wire.tenant_gate import TenantGate
from runtara_sdk import ManagementSdk
from runtara_sdk.artifact.signing import sign_artifact
from runtara_sdk.errors import ImageNotFoundError, InvalidInputError, StorageError
from runtara_sdk.management import ManagementSettings
from runtara_sdk.models import InstanceStatus
from runtara_sdk.transport.local import serve_local
from runtara_sdk.transport.places import ENVIRONMENT_SOCKET, socket_path
from runtara_sdk.transport.settings import ServerSettings

TENANT = "acme"
WAIT_SECONDS = 120
PROGRAM = f"""#!{sys.executable}
import asyncio
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        await sdk.completed({{"version": %d}})

asyncio.run(main())
"""


def program(version: int) -> bytes:
    return (PROGRAM % version).encode()


@asynccontextmanager
async def serving(directory: Path, settings: RegistrySettings) -> AsyncIterator[ManagementSdk]:
    async with local_environment(directory, None, SupervisionSettings(runner="native"), registry_settings=settings) as (
        core,
        environment,
    ):
        agents = AgentServices(directory, GuestNetwork(), AgentTestingSettings(), environment.call_runners)
        handler = EnvironmentHandler(environment.service, agents, TenantGate(core.keys))
        server = await serve_local(handler.handle_stream, ServerSettings(), socket_path(directory, ENVIRONMENT_SOCKET))
        await environment.start()
        try:
            async with ManagementSdk(ManagementSettings(server_addr=server.address)) as sdk:
                yield sdk
        finally:
            await server.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runtara-") as name:
        yield Path(name)


async def wait_for_error(sdk: ManagementSdk, instance_id: str, text: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = await sdk.get_instance_status(instance_id)
            assert not found.status.is_terminal
            if found.error is not None and text in found.error.text:
                return
            await asyncio.sleep(0.05)


async def output_of(sdk: ManagementSdk, instance_id: str) -> object:
    ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
    assert ended.status is InstanceStatus.COMPLETED
    return ended.output


async def test_uploads_are_bounded_and_compared_and_versions_started(directory: Path, tmp_path: Path) -> None:
    async def blocks(content: bytes) -> AsyncIterator[bytes]:
        yield content

    large = b"#!/bin/sh\n" + bytes(100_000)
    async with serving(directory, RegistrySettings(max_image_bytes=50_000)) as sdk:
        for tenant, name, content, sha256, message in [
            ("../acme", "orders", program(1), None, "tenant_id"),
            (TENANT, "", program(1), None, "name is empty"),
            (TENANT, "orders", large, None, "at most 50000"),
            (TENANT, "orders", program(1), "0" * 64, "SHA-256"),
            (TENANT, "orders", b"\x7fELF", None, "ends within its header"),
            (TENANT, "orders", b'{"steps": {}}', None, "found JSON"),
        ]:
            with pytest.raises(InvalidInputError, match=message):
                await sdk.register_image(tenant, name, content, sha256=sha256)
            with pytest.raises(InvalidInputError, match=message):
                await sdk.register_image_stream(tenant, name, blocks(content), sha256=sha256)
        assert (await sdk.list_images()).total_count == 0
        assert [path.name for path in (directory / "images").rglob("*") if path.is_file()] == []

        for version in (1, 2):
            image = await sdk.register_image(
                TENANT, "orders", program(version), sha256=hashlib.sha256(program(version)).hexdigest()
            )
        shown = await sdk.get_image(image.image_id, TENANT)
        assert (shown.version, shown.kind, shown.size_bytes, shown.signed) == (2, "executable", len(program(2)), False)
        assert shown.digest == hashlib.sha256(program(2)).hexdigest()
        page = await sdk.list_image_versions(image.image_id, TENANT)
        assert [(each.version, each.current) for each in page.versions] == [(2, True), (1, False)]
        older = await sdk.list_image_versions(image.image_id, TENANT, before_version=2)
        assert older.versions == page.versions[1:]
        with pytest.raises(ImageNotFoundError):
            await sdk.list_image_versions(image.image_id, "other")
        with pytest.raises(ImageNotFoundError, match="version 3 of image"):
            await sdk.start_instance(image.image_id, TENANT, image_version=3)

        # A byte flips: the instance waits, that of the other version runs, and the same upload mends it.
        path = directory / "images" / page.versions[1].digest / "artifact"
        path.chmod(0o755)
        path.write_bytes(program(1).replace(b"main", b"mine", 1))
        waiting = await sdk.start_instance(image.image_id, TENANT, image_version=1)
        await wait_for_error(sdk, waiting.instance_id, "does not have its SHA-256")
        other = await sdk.start_instance(image.image_id, TENANT)
        assert await output_of(sdk, other.instance_id) == {"version": 2}
        await sdk.register_image(TENANT, "orders", program(1))
        assert await output_of(sdk, waiting.instance_id) == {"version": 1}


async def test_signed_images(directory: Path, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = tmp_path / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    artifact = tmp_path / "program"
    artifact.write_bytes(program(1))
    signature = sign_artifact(artifact, tmp_path / "key.pem")
    async with serving(directory, RegistrySettings()) as sdk:
        unsigned = await sdk.register_image(TENANT, "orders", program(1))
    async with serving(directory, RegistrySettings(public_keys=public)) as sdk:
        started = await sdk.start_instance(unsigned.image_id, TENANT)
        await wait_for_error(sdk, started.instance_id, "is not signed")
        with pytest.raises(InvalidInputError, match="is not signed"):
            await sdk.register_image_stream(TENANT, "orders", artifact)
        for wrong in (bytes(64), b"short"):
            with pytest.raises(InvalidInputError, match="signature"):
                await sdk.register_image(TENANT, "orders", program(1), signature=wrong)
        await sdk.register_image_stream(TENANT, "orders", artifact, signature=signature)
        assert (await sdk.get_image(unsigned.image_id, TENANT)).signed
        assert await output_of(sdk, started.instance_id) == {"version": 1}


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[Path]:
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = create_database(f"sqlite:///{tmp_path}/runtara.db", environment_queries())
    await database.open()
    await migrations.run(database)
    yield database
    await database.close()


async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, database: Database) -> None:
    async def blocks(content: bytes) -> AsyncIterator[bytes]:
        yield content

    large = b"#!/bin/sh\n" + bytes(3_000_000)
    with small_disk(tmp_path / "data", 4_000_000) as data:
        registry = ImageRegistry(database, data)
        small = await registry.register(tenant_id=TENANT, name="small", artifact=b"#!/bin/sh\n")
        (data / "filler").write_bytes(bytes(2_500_000))
        with pytest.raises(StorageError, match="No space left on device"):
            await registry.register(tenant_id=TENANT, name="large", artifact=blocks(large))
        with pytest.raises(StorageError, match=r"bytes, and \d+ are free: make room"):
            await registry.register(tenant_id=TENANT, name="large", artifact=large, expected_size=len(large))
        assert sorted(path.name for path in (data / "images").iterdir()) == [".lock", small.digest]
        assert (await registry.list_images()).total_count == 1
        assert await registry.resolve(small.image_id, TENANT)
        (data / "filler").unlink()
        assert await registry.register(tenant_id=TENANT, name="large", artifact=large)


def native_artifact(directory: Path, library_bytes: int) -> bytes:
    """One whose base is a shell script and a library that cannot be compressed."""
    base, workflow = directory / "base", directory / "workflow"
    base.mkdir(parents=True)
    workflow.mkdir()
    (base / "runtara-base").write_text("#!/bin/sh\n")
    (base / "runtara-base").chmod(0o755)
    (base / "library").write_bytes(os.urandom(library_bytes))
    (workflow / "module").write_text("greeting")
    layers = [write_layer(each, directory / f"{each.name}.tar.gz", level=1) for each in (workflow, base)]
    return write_artifact(directory / "artifact", {}, workflow=layers[0], base=layers[1]).read_bytes()


async def test_layers_on_a_full_disk(tmp_path: Path, database: Database) -> None:
    small, large = native_artifact(tmp_path / "small", 1_000_000), native_artifact(tmp_path / "large", 2_000_000)
    with small_disk(tmp_path / "data", 6_000_000) as data:
        registry = ImageRegistry(database, data)
        image = await registry.register(tenant_id=TENANT, name="small", artifact=small)
        kept = sorted((data / "layers").iterdir())
        with pytest.raises(StorageError, match="No space left on device"):  # upload, packed and unpacked are 6 MB
            await registry.register(tenant_id=TENANT, name="large", artifact=large)
        assert sorted((data / "layers").iterdir()) == kept
        assert [path.name for path in (data / "images").iterdir() if path.is_dir()] == [image.digest]

        unpacked = Path((await registry.resolve(image.image_id, TENANT)).argv[0]).parent
        shutil.rmtree(unpacked)
        (data / "filler").write_bytes(bytes(4_500_000))
        with pytest.raises(StorageError, match=r"cannot unpack artifact \w+: No space left") as caught:
            await registry.resolve(image.image_id, TENANT)
        assert caught.value.retryable
        assert not unpacked.exists()
        (data / "filler").unlink()
        assert await registry.resolve(image.image_id, TENANT)
        content = await registry.artifacts.open(image.digest)
        assert b"".join([block async for block in content.blocks]) == small
