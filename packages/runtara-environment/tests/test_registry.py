"""The image registry on SQLite: names, versions, artifacts."""

import hashlib
import io
import json
import os
import sqlite3
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.database import Database, create_database
from runtara_environment import migrations
from runtara_environment.registry import ArtifactUnavailableError, ImageRegistry
from runtara_environment.sql.queries import environment_queries
from runtara_sdk.errors import ImageNotFoundError, InvalidInputError, InvalidStateError
from runtara_sdk.testing.clock import ManualClock

SCRIPT = b"#!/bin/sh\necho one\n"
OTHER_SCRIPT = b"#!/bin/sh\necho two\n"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = create_database(f"sqlite:///{tmp_path}/runtara.db", environment_queries())
    await database.open()
    await migrations.run(database)
    yield database
    await database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def registry(database: Database, tmp_path: Path, clock: ManualClock) -> ImageRegistry:
    return ImageRegistry(database, tmp_path / "data", clock=clock, max_artifact_bytes=1024 * 1024)


def files(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*") if path.is_file())


async def chunks(content: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def test_migrations_run_twice(database: Database) -> None:
    assert await migrations.run(database) == ()


async def test_register_get_resolve(registry: ImageRegistry, tmp_path: Path) -> None:
    image = await registry.register(
        tenant_id="t-1", name="orders", artifact=SCRIPT, description="Orders", metadata={"a": [1]}
    )
    digest = hashlib.sha256(SCRIPT).hexdigest()
    assert (image.version, image.digest, image.size_bytes, image.kind) == (1, digest, len(SCRIPT), "executable")
    assert (image.description, image.metadata, image.runner_type) == ("Orders", {"a": [1]}, "native")
    assert await registry.get(image.image_id, "t-1") == image
    artifact = await registry.resolve(image.image_id, "t-1")
    assert artifact.argv == (f"{tmp_path}/data/images/{digest}/artifact",)
    assert Path(artifact.argv[0]).read_bytes() == SCRIPT
    assert os.access(artifact.argv[0], os.X_OK)


async def test_streamed_upload_with_checks(registry: ImageRegistry) -> None:
    content = SCRIPT + b"#" * 300_000
    image = await registry.register(
        tenant_id="t-1",
        name="big",
        artifact=chunks(content, 65_536),
        expected_size=len(content),
        expected_sha256=hashlib.sha256(content).hexdigest().upper(),
    )
    assert image.size_bytes == len(content)


async def test_same_content_keeps_its_version_and_new_content_gets_one(
    registry: ImageRegistry, clock: ManualClock
) -> None:
    first = await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT)
    clock.advance(1000)
    again = await registry.register(tenant_id="t-1", name="orders", artifact=chunks(SCRIPT))
    assert (again.image_id, again.version, again.created_at_ms) == (first.image_id, 1, first.created_at_ms)
    assert again.updated_at_ms == first.updated_at_ms + 1000
    second = await registry.register(tenant_id="t-1", name="orders", artifact=OTHER_SCRIPT)
    assert (second.image_id, second.version) == (first.image_id, 2)
    back = await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT)
    assert back.version == 1
    assert (await registry.resolve(first.image_id, "t-1")).digest == first.digest
    assert (await registry.resolve(first.image_id, "t-1", version=2)).digest == second.digest
    assert (await registry.resolve(first.image_id, "t-1", digest=second.digest)).version == 2
    with pytest.raises(ImageNotFoundError):
        await registry.resolve(first.image_id, "t-1", version=3)


async def test_other_tenants_find_nothing(registry: ImageRegistry) -> None:
    image = await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT)
    other = await registry.register(tenant_id="t-2", name="orders", artifact=SCRIPT)
    assert image.image_id != other.image_id
    with pytest.raises(ImageNotFoundError):
        await registry.get(image.image_id, "t-2")
    with pytest.raises(ImageNotFoundError):
        await registry.resolve(image.image_id, "t-2", digest=image.digest)
    with pytest.raises(ImageNotFoundError):
        await registry.delete(image.image_id, "t-2")


async def test_list_pages_with_totals(registry: ImageRegistry, clock: ManualClock) -> None:
    for number in range(5):
        clock.advance(1)
        await registry.register(tenant_id="t-1", name=f"image-{number}", artifact=SCRIPT)
    await registry.register(tenant_id="t-2", name="other", artifact=SCRIPT)
    page = await registry.list_images("t-1", limit=2, offset=1)
    assert [image.name for image in page.images] == ["image-3", "image-2"]
    assert page.total_count == 5
    assert (await registry.list_images(limit=0)).total_count == 6
    with pytest.raises(InvalidInputError):
        await registry.list_images(limit=-1)


async def test_names_and_prefixes(registry: ImageRegistry) -> None:
    one = await registry.register(tenant_id="t-1", name="order_a", artifact=SCRIPT)
    two = await registry.register(tenant_id="t-2", name="orderXa", artifact=SCRIPT)
    assert await registry.find_names([one.image_id, "unknown"]) == {one.image_id: "order_a"}
    assert await registry.find_names([]) == {}
    assert await registry.find_by_name_prefix("order_") == [one.image_id]
    assert await registry.find_by_name_prefix("order", tenant_id="t-2") == [two.image_id]


async def test_delete_strands_nobody(registry: ImageRegistry) -> None:
    image = await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT)
    with pytest.raises(InvalidStateError):
        await registry.delete(image.image_id, "t-1", in_use=True)
    await registry.delete(image.image_id, "t-1")
    with pytest.raises(ImageNotFoundError):
        await registry.get(image.image_id, "t-1")
    with pytest.raises(ImageNotFoundError):
        await registry.resolve(image.image_id, "t-1")
    with pytest.raises(ImageNotFoundError):
        await registry.delete(image.image_id, "t-1")
    assert (await registry.list_images("t-1")).total_count == 0
    assert (await registry.resolve(image.image_id, "t-1", digest=image.digest)).digest == image.digest
    assert await registry.find_names([image.image_id]) == {image.image_id: "orders"}
    revived = await registry.register(tenant_id="t-1", name="orders", artifact=OTHER_SCRIPT)
    assert (revived.image_id, revived.version) == (image.image_id, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tenant_id": "../etc"}, "tenant_id"),
        ({"name": ""}, "name is empty"),
        ({"expected_size": 3}, "announced"),
        ({"expected_size": 1000}, "announced were 1000"),
        ({"expected_size": 10**12}, "at most"),
        ({"expected_sha256": "0" * 64}, "SHA-256"),
        ({"artifact": b""}, "an empty file"),
        ({"artifact": b'{"id": 1}'}, "found JSON"),
        ({"artifact": b"#!" + bytes(1024 * 1024)}, "at most 1048576"),
        ({"metadata": {"x": float("nan")}}, "metadata"),
        ({"metadata": {"x": "y" * 70_000}}, "metadata"),
        ({"description": "x" * 5000}, "description"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_bad_registrations_leave_nothing(
    registry: ImageRegistry, tmp_path: Path, changes: dict[str, object], message: str, streamed: bool
) -> None:
    values = {"tenant_id": "t-1", "name": "orders", "artifact": SCRIPT} | changes
    if streamed:
        values["artifact"] = chunks(values["artifact"], 4096)
    with pytest.raises(InvalidInputError, match=message) as caught:
        await registry.register(**values)
    assert "\n" not in str(caught.value)
    assert ".upload-" not in str(caught.value)
    assert files(tmp_path) == []
    assert (await registry.list_images()).total_count == 0


async def test_interrupted_upload_leaves_nothing(registry: ImageRegistry, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield SCRIPT
        raise ConnectionResetError

    with pytest.raises(Exception):  # noqa: B017
        await registry.register(tenant_id="t-1", name="orders", artifact=broken())
    assert files(tmp_path) == []


async def test_damaged_artifact_is_refused_and_mended(registry: ImageRegistry, tmp_path: Path) -> None:
    image = await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT)
    path = tmp_path / "data/images" / image.digest / "artifact"
    path.chmod(0o755)
    path.write_bytes(b"#!")
    with pytest.raises(ArtifactUnavailableError, match="damaged"):
        await registry.resolve(image.image_id, "t-1")
    path.unlink()
    with pytest.raises(ArtifactUnavailableError, match="missing"):
        await registry.resolve(image.image_id, "t-1")
    await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT)
    assert (await registry.resolve(image.image_id, "t-1")).digest == image.digest


async def test_the_schema_of_inputs_is_kept_with_the_version(registry: ImageRegistry, tmp_path: Path) -> None:
    schema = {"who": {"type": "string", "required": True}}
    image = await registry.register(tenant_id="t-1", name="workflow", artifact=archive_of({"inputSchema": schema}))
    kept = await registry.input_schema(image.image_id, image.digest)
    assert kept is not None
    assert json.loads(kept) == schema
    other = await registry.register(tenant_id="t-1", name="workflow", artifact=archive_of({}))
    assert await registry.input_schema(image.image_id, other.digest) is None
    assert await registry.input_schema(image.image_id, image.digest) == kept
    with sqlite3.connect(tmp_path / "runtara.db") as connection:  # as a process of an earlier version registers it
        connection.execute("UPDATE image_versions SET input_schema = NULL")
    await registry.register(tenant_id="t-1", name="workflow", artifact=archive_of({"inputSchema": schema}))
    assert await registry.input_schema(image.image_id, image.digest) == kept


@pytest.mark.parametrize(
    ("manifest", "scenario_id"),
    [({"scenario": {"id": "orders"}}, "orders"), ({"scenario": {"id": "a\0"}}, None), ({"scenario": {"id": 1}}, None)],
)
async def test_the_scenario_is_kept_with_the_version(
    registry: ImageRegistry, manifest: dict[str, object], scenario_id: str | None
) -> None:
    image = await registry.register(tenant_id="t-1", name="workflow", artifact=archive_of(manifest))
    assert await registry.scenario_id(image.image_id, image.digest) == scenario_id


def archive_of(manifest: dict[str, object]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("runtara-manifest.json"), json.dumps(manifest))
        archive.writestr(zipfile.ZipInfo("__main__.py"), "print('hello')")
    return content.getvalue()


async def test_python_archive_and_file(registry: ImageRegistry, tmp_path: Path) -> None:
    archive = tmp_path / "workflow.pyz"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("runtara-manifest.json", "{}")
        content.writestr("__main__.py", "print('hello')")
    image = await registry.register_file(archive, tenant_id="t-1", name="workflow")
    assert image.kind == "python"
    artifact = await registry.resolve(image.image_id, "t-1")
    assert artifact.argv[0] == sys.executable
    assert artifact.argv[-1].endswith(f"{image.digest}/artifact")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        await registry.register_file(tmp_path / "missing", tenant_id="t-1", name="workflow")


@pytest.mark.parametrize("kind", ["executable", "python"])
@pytest.mark.parametrize("next_daemon", [False, True])
async def test_a_flipped_byte_is_found_and_mended(
    registry: ImageRegistry, database: Database, tmp_path: Path, kind: str, next_daemon: bool
) -> None:
    packed = io.BytesIO(SCRIPT)
    if kind == "python":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("runtara-manifest.json", "{}")
            archive.writestr("__main__.py", "print('hello')")
    content = packed.getvalue()
    image = await registry.register(tenant_id="t-1", name="orders", artifact=content)
    other = await registry.register(tenant_id="t-1", name="others", artifact=OTHER_SCRIPT)
    path = Path((await registry.resolve(image.image_id, "t-1")).argv[-1])
    found = path.stat()
    path.chmod(0o755)
    path.write_bytes(content.replace(b"o", b"i", 1))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    path.chmod(found.st_mode)
    if next_daemon:
        registry = ImageRegistry(database, tmp_path / "data")
    with pytest.raises(ArtifactUnavailableError, match="does not have its SHA-256"):
        await registry.resolve(image.image_id, "t-1")
    assert (await registry.resolve(other.image_id, "t-1")).digest == other.digest
    await registry.artifacts.put(content, expected_sha256=image.digest)
    assert (await registry.resolve(image.image_id, "t-1")).kind == kind
    assert path.read_bytes() == content


async def test_an_artifact_is_given_out_as_it_was_put(registry: ImageRegistry) -> None:
    image = await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT * 50_000)
    content = await registry.artifacts.open(image.digest)
    received = b"".join([block async for block in content.blocks])
    assert (content.size_bytes, received) == (image.size_bytes, SCRIPT * 50_000)
    with pytest.raises(ArtifactUnavailableError, match="missing on this host"):
        await registry.artifacts.open("0" * 64)
