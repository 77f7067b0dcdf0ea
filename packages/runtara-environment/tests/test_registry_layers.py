"""Native artifacts in the registry: layers that are there once, bytes that flip, files of earlier versions."""

import asyncio
import errno
import gzip
import hashlib
import io
import os
import random
import shutil
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from runtara_core.database import Database, create_database
from runtara_environment import migrations
from runtara_environment.registry import ArtifactUnavailableError, Image, ImageRegistry
from runtara_environment.registry.artifact_files import MAX_REMAINDER_BYTES
from runtara_environment.registry.scrub import ArtifactScrub
from runtara_environment.sql.queries import environment_queries
from runtara_sdk.artifact import Layer, LayerRole, NativeIndex
from runtara_sdk.artifact.native_format import HEADER_BYTES, magic_line
from runtara_sdk.clock import SystemClock
from runtara_sdk.errors import InvalidInputError

INDEX_BYTES = 2_000
LIBRARY = random.Random(1).randbytes(400_000)
BASE = {"runtara-base": b"#!/bin/sh\necho ran $1\n", "packages/library.py": LIBRARY}


def packed_layer(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755 if name == "runtara-base" else 0o644
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


PACKED_BASE = packed_layer(BASE)


def native_artifact(greeting: str = "hello", base: bytes = PACKED_BASE, trailer: bytes = b"") -> bytes:
    workflow = packed_layer({"greeting": greeting.encode()})
    start = HEADER_BYTES + INDEX_BYTES
    layers = (
        Layer(LayerRole.WORKFLOW, hashlib.sha256(workflow).hexdigest(), start, len(workflow)),
        Layer(LayerRole.BASE, hashlib.sha256(base).hexdigest(), start + len(workflow), len(base)),
    )
    header = f"#!/bin/sh\n{magic_line(INDEX_BYTES)}\n".encode().ljust(HEADER_BYTES, b"\n")
    return header + NativeIndex({}, layers).encode().ljust(INDEX_BYTES, b"\n") + workflow + base + trailer


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = create_database(f"sqlite:///{tmp_path}/runtara.db", environment_queries())
    await database.open()
    await migrations.run(database)
    yield database
    await database.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def registry(database: Database, data: Path) -> ImageRegistry:
    return ImageRegistry(database, data)


async def register(registry: ImageRegistry, artifact: bytes, name: str = "orders") -> Image:
    return await registry.register(tenant_id="t-1", name=name, artifact=artifact)


async def read(registry: ImageRegistry, image: Image) -> bytes:
    content = await registry.artifacts.open(image.digest)
    return b"".join([block async for block in content.blocks])


def flip(path: Path, *, like_the_disk: bool = False) -> None:
    """Change one byte; as the disk does it, no time of the file changes that a program may set."""
    found = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.chmod(0o755)
    path.write_bytes(content)
    path.chmod(found.st_mode)
    if like_the_disk:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def layer_file(data: Path, content: bytes, suffix: str = ".tar.gz") -> Path:
    return data / "layers" / f"sha256-{hashlib.sha256(content).hexdigest()}{suffix}"


async def test_a_base_is_there_once_and_artifacts_come_back_byte_for_byte(registry: ImageRegistry, data: Path) -> None:
    artifacts = [native_artifact(f"hello {number}", trailer=b"end" * number) for number in range(5)]
    images = [await register(registry, artifact) for artifact in artifacts]
    stored = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    assert stored < len(PACKED_BASE) + len(LIBRARY) + len(artifacts) * 25_000
    assert [await read(registry, image) for image in images] == artifacts
    assert await registry.artifacts.digests() == {image.digest for image in images}
    commands = [(await registry.resolve(image.image_id, "t-1", digest=image.digest)).argv for image in images]
    assert len({command[0] for command in commands}) == 1
    assert [Path(command[1], "greeting").read_text() for command in commands] == [f"hello {n}" for n in range(5)]


async def test_registered_at_once(registry: ImageRegistry) -> None:
    images = await asyncio.gather(
        *(register(registry, native_artifact(f"hello {number % 4}"), f"orders-{number}") for number in range(8))
    )
    for image in images:
        assert Path((await registry.resolve(image.image_id, "t-1")).argv[1], "greeting").exists()


@pytest.mark.parametrize("next_daemon", [False, True])
async def test_an_unpacked_file_that_flips_is_mended_before_it_runs(
    registry: ImageRegistry, database: Database, data: Path, next_daemon: bool
) -> None:
    image = await register(registry, native_artifact())
    argv = (await registry.resolve(image.image_id, "t-1")).argv
    directory = Path(argv[0]).parent
    flip(directory / "packages/library.py", like_the_disk=True)
    flip(Path(argv[1]) / "greeting")
    (directory / "runtara-base").unlink()
    (directory / "packages/planted.py").write_text("import os")
    if next_daemon:
        registry = ImageRegistry(database, data)
    assert (await registry.resolve(image.image_id, "t-1")).argv == argv
    assert {path: (directory / path).read_bytes() for path in BASE} == BASE
    assert os.access(directory / "runtara-base", os.X_OK)
    assert not (directory / "packages/planted.py").exists()
    assert Path(argv[1], "greeting").read_text() == "hello"


async def test_a_layer_that_cannot_be_mended_waits_and_others_run(registry: ImageRegistry, data: Path) -> None:
    content = native_artifact()
    image, other = await register(registry, content), await register(registry, native_artifact("other"), "other")
    workflow = Path((await registry.resolve(image.image_id, "t-1")).argv[1])
    flip(workflow / "greeting")
    flip(workflow.with_name(f"{workflow.name}.tar.gz"))
    with pytest.raises(ArtifactUnavailableError, match="does not have its SHA-256: register the image again"):
        await registry.resolve(image.image_id, "t-1")
    assert (await registry.resolve(other.image_id, "t-1")).kind == "native"
    await registry.artifacts.put(content, expected_sha256=image.digest)
    await registry.resolve(image.image_id, "t-1")
    assert (workflow / "greeting").read_text() == "hello"
    assert await read(registry, image) == content


@pytest.mark.parametrize("suffix", ["", ".tar.gz", ".files"])
async def test_what_is_lost_of_a_layer(registry: ImageRegistry, database: Database, data: Path, suffix: str) -> None:
    content = native_artifact()
    image = await register(registry, content)
    path = layer_file(data, PACKED_BASE, suffix)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for each in (registry, ImageRegistry(database, data)):
        assert (await each.resolve(image.image_id, "t-1")).kind == "native"
    if suffix == ".tar.gz":
        with pytest.raises(ArtifactUnavailableError, match="missing"):
            await registry.artifacts.open(image.digest)
        await register(registry, content)
    assert await read(registry, image) == content


async def test_a_damaged_listing_is_made_again(registry: ImageRegistry, database: Database, data: Path) -> None:
    image = await register(registry, native_artifact())
    flip(layer_file(data, PACKED_BASE, ".files"))
    assert (await ImageRegistry(database, data).resolve(image.image_id, "t-1")).kind == "native"


@pytest.mark.parametrize("place", [0, HEADER_BYTES - 10, HEADER_BYTES + 10, HEADER_BYTES + 300])
async def test_a_flipped_byte_beside_the_layers_is_found(registry: ImageRegistry, data: Path, place: int) -> None:
    image = await register(registry, native_artifact())
    path = data / "images" / image.digest / "remainder"
    content = bytearray(path.read_bytes())
    content[place] ^= 0x01
    path.chmod(0o755)
    path.write_bytes(content)
    with pytest.raises(ArtifactUnavailableError, match="damaged"):
        await registry.resolve(image.image_id, "t-1")
    await register(registry, native_artifact())
    assert await read(registry, image) == native_artifact()


async def test_an_artifact_of_an_earlier_version_is_launched_and_taken_apart(
    registry: ImageRegistry, database: Database, data: Path
) -> None:
    content = native_artifact()
    image = await register(registry, content)
    shutil.rmtree(data)
    whole = data / "images" / image.digest / "artifact"
    whole.parent.mkdir(parents=True)
    whole.write_bytes(content)
    assert await read(registry, image) == content
    registry = ImageRegistry(database, data)
    argv = (await registry.resolve(image.image_id, "t-1")).argv
    assert Path(argv[1], "greeting").read_text() == "hello"
    assert not whole.exists()
    assert await read(registry, image) == content
    shutil.rmtree(data)
    whole.parent.mkdir(parents=True)
    whole.write_bytes(content)
    flip(whole)
    with pytest.raises(ArtifactUnavailableError, match="damaged"):
        await registry.resolve(image.image_id, "t-1")


async def test_a_bad_layer_is_refused_and_leaves_nothing(registry: ImageRegistry, data: Path) -> None:
    for base, message in [
        (packed_layer({"other": b""}), "no runtara-base"),
        (packed_layer({"../runtara-base": b""}), "its path leaves the layer"),
        (b"no archive", "not a gzip-compressed tar file"),
        (packed_layer({"/".join(["d"] * 1500): b""}), "inside of more than 100 directories"),
    ]:
        with pytest.raises(InvalidInputError, match=message) as caught:
            await register(registry, native_artifact(base=base))
        assert ".upload-" not in str(caught.value)
    with pytest.raises(InvalidInputError, match="outside of its layers"):
        await register(registry, native_artifact(trailer=bytes(MAX_REMAINDER_BYTES)))
    damaged = bytearray(native_artifact())
    damaged[-10] ^= 0x01
    with pytest.raises(InvalidInputError, match="base layer is damaged"):
        await register(registry, bytes(damaged))
    assert [path for path in data.rglob("*") if path.is_file() and path.name != ".lock"] == []


async def test_a_walk_finds_what_flips_where_nothing_is_written(registry: ImageRegistry, data: Path) -> None:
    image = await register(registry, native_artifact())
    script = await register(registry, b"#!/bin/sh\n" + b"#" * 1000, "script")
    library = Path((await registry.resolve(image.image_id, "t-1")).argv[0]).parent / "packages/library.py"
    scrub = ArtifactScrub(registry.artifacts, InstantClock())
    assert await scrub.scrub() == []
    whole = Path((await registry.resolve(script.image_id, "t-1")).argv[-1])
    packed, remainder = layer_file(data, PACKED_BASE), data / "images" / image.digest / "remainder"
    flip(library)
    flip(whole)
    flip(remainder)
    assert sorted(await scrub.scrub()) == sorted([library, whole, remainder])
    assert library.read_bytes() == LIBRARY
    flip(packed)
    assert packed in await scrub.scrub()


async def test_a_walk_goes_on_behind_what_the_disk_cannot_read(
    registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await register(registry, native_artifact())
    script = await register(registry, b"#!/bin/sh\n" + b"#" * 1000, "script")
    library = Path((await registry.resolve(image.image_id, "t-1")).argv[0]).parent / "packages/library.py"
    whole = Path((await registry.resolve(script.image_id, "t-1")).argv[-1])
    lost = {path.stat().st_ino for path in (library, whole)}
    open_path = Path.open

    def open_what_is_not_lost(path: Path, *how: Any, **further: Any) -> Any:
        if path.exists() and path.stat().st_ino in lost:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return open_path(path, *how, **further)

    monkeypatch.setattr(Path, "open", open_what_is_not_lost)
    assert sorted(await ArtifactScrub(registry.artifacts, InstantClock()).scrub()) == sorted([library, whole])
    assert library.read_bytes() == LIBRARY
    assert await ArtifactScrub(registry.artifacts, InstantClock()).scrub() == [whole]


async def test_layers_that_no_artifact_has_go(registry: ImageRegistry, data: Path) -> None:
    image = await register(registry, native_artifact())
    other_base = packed_layer({**BASE, "more": b"more"})
    other = await register(registry, native_artifact(base=other_base), "other")
    digests = registry.artifacts.layers.digests()
    assert len(digests) == 3
    assert await registry.artifacts.remove_unneeded_layers(digests) == []
    shutil.rmtree(data / "images" / other.digest)
    assert await registry.artifacts.remove_unneeded_layers(digests) == [hashlib.sha256(other_base).hexdigest()]
    assert (await registry.resolve(image.image_id, "t-1")).kind == "native"
    assert not [path for path in (data / "layers").iterdir() if path.name.startswith(".")]


class InstantClock(SystemClock):
    """Time that passes as it is waited for."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
