"""Artifacts on disk, by their SHA-256: complete and immutable, or not there at all.

An upload is written beside its place and checked (`upload`). Then the layers of a native artifact
go to the layer store, where each is once however many artifacts have it, and what is left to a directory of the
artifact (`artifact_files`); a file of another kind goes there as a whole. Killed in the middle, this leaves hidden
files that a later upload sweeps, or layers that no artifact has. The same content again mends what is damaged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.artifact import ArtifactInfo, Layer, LayerRole, inspect_artifact
from runtara_sdk.artifact.inspection import ArtifactKind
from runtara_sdk.artifact.native_format import BASE_EXECUTABLE, NativeIndex
from runtara_sdk.errors import InvalidInputError, RuntaraError, StorageError
from runtara_sdk.identifiers import validate_identifier

from runtara_environment.data_directory_modes import make_passable
from runtara_environment.registry.artifact_content import ArtifactContent, missing_artifact
from runtara_environment.registry.artifact_files import ArtifactDirectory, artifact_directories, require_short_remainder
from runtara_environment.registry.durable_files import flush_directory, remove_leftovers
from runtara_environment.registry.layer_store import ArtifactUnavailableError, LayerStore
from runtara_environment.registry.store_lock import StoreLock
from runtara_environment.registry.upload import Upload
from runtara_environment.registry.verified_files import VerifiedFiles

MAX_ARTIFACT_BYTES = 1024 * 1024 * 1024

_UPLOAD_PREFIX = ".upload-"


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """An artifact that is on disk for good."""

    digest: str
    size_bytes: int
    kind: ArtifactKind
    input_schema: str | None = None
    """JSON of the schema that inputs must fit, when the manifest was read just now and tells one."""
    scenario_id: str | None = None
    """What it is compiled of, when the manifest was read just now and tells it."""


class ArtifactStore:
    """The artifacts below one data directory."""

    def __init__(
        self,
        data_dir: Path,
        *,
        max_artifact_bytes: int = MAX_ARTIFACT_BYTES,
        database_id: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        """`database_id` names the database whose images have what is put here; without one nothing is ever swept."""
        self.images = data_dir.absolute() / "images"
        self.verified = VerifiedFiles()
        self.layers = LayerStore(data_dir.absolute() / "layers", self.verified)
        self.lock = StoreLock(self.images)
        self._max_bytes = max_artifact_bytes
        self._database_id = database_id

    def directory(self, digest: str) -> ArtifactDirectory:
        """Where the artifact of a digest is, or would be."""
        return ArtifactDirectory(self.images / digest)

    async def put(
        self,
        content: bytes | AsyncIterable[bytes],
        *,
        expected_size: int | None = None,
        expected_sha256: str | None = None,
    ) -> StoredArtifact:
        """Store an artifact that an image has; the same content again mends what is damaged.

        Raises `InvalidInputError` when it is too big, does not have the expected size or SHA-256, or is no artifact;
        `StorageError` when the disk fails. Then nothing is kept.
        """
        async with self.putting(content, expected_size=expected_size, expected_sha256=expected_sha256) as stored:
            return stored

    @contextlib.asynccontextmanager
    async def putting(
        self,
        content: bytes | AsyncIterable[bytes],
        *,
        expected_size: int | None = None,
        expected_sha256: str | None = None,
        accept: Callable[[str], None] | None = None,
    ) -> AsyncIterator[StoredArtifact]:
        """As `put`; the artifact stays at least until the block ends, by when a row has to name it.

        `accept` is given the SHA-256 before the artifact takes its place, and raises what speaks against it.
        """
        upload = Upload(
            self.images / f"{_UPLOAD_PREFIX}{uuid.uuid4().hex}", self._max_bytes, expected_size, expected_sha256
        )
        try:
            await asyncio.to_thread(self._prepare, expected_size)
            digest, info = await upload.receive(content)
            if accept is not None:
                accept(digest)
            database_id = None if self._database_id is None else await self._database_id()
            async with self._kept(upload, info, digest, database_id) as stored:
                yield stored
        except OSError as error:
            raise StorageError(f"cannot store the artifact in {self.images}: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):  # what is wrong with the disk has been told, and a later upload sweeps
                await asyncio.to_thread(upload.path.unlink, missing_ok=True)

    async def open(self, digest: str) -> ArtifactContent:
        """The whole artifact, byte for byte as it was put. Whoever receives it compares its SHA-256 with the digest.

        Raises `ArtifactUnavailableError` when it is not on this host, `StorageError` when the disk fails; so do the
        blocks, when it is removed meanwhile.
        """
        try:
            segments = await asyncio.to_thread(self.directory(digest).segments, self.layers.packed)
        except FileNotFoundError as error:
            raise missing_artifact(digest) from error
        except InvalidInputError as error:
            raise ArtifactUnavailableError(f"damaged: {error.message}: register the image again") from None
        except OSError as error:
            raise StorageError(f"cannot read artifact {digest}: {error.strerror or error}") from error
        return ArtifactContent.of(segments, digest)

    async def digests(self) -> frozenset[str]:
        """Of the artifacts that are on this host. Raises `StorageError` when the disk fails."""
        try:
            return await asyncio.to_thread(
                lambda: frozenset(each.path.name for each in artifact_directories(self.images) if each.exists())
            )
        except OSError as error:
            raise StorageError(f"cannot list the artifacts in {self.images}: {error.strerror or error}") from error

    async def command(self, stored: StoredArtifact) -> tuple[str, ...]:
        """The arguments that start a stored artifact on this host; its files have been compared with their digests.

        Raises `ArtifactUnavailableError` when it is missing or damaged, `StorageError` when it cannot be unpacked.
        """
        try:
            if stored.kind == "native":
                await self._take_apart(stored)
            return await asyncio.to_thread(self._command, stored)
        except OSError as error:
            raise StorageError(f"cannot unpack artifact {stored.digest}: {error.strerror or error}") from error

    def _prepare(self, expected_size: int | None) -> None:
        make_passable(self.images)
        self.remove_leftovers()
        free = shutil.disk_usage(self.images).free
        if expected_size is not None and expected_size > free:
            raise StorageError(
                f"cannot store the artifact in {self.images}: it has {expected_size} bytes, and {free} are free: "
                "make room there, then try again"
            )

    def remove_leftovers(self) -> None:
        """Remove what killed processes have left: what was put aside, and uploads that have not grown for an hour."""
        if self.images.is_dir():
            remove_leftovers(self.images, _UPLOAD_PREFIX)
        self.layers.remove_leftovers()

    @contextlib.asynccontextmanager
    async def _kept(
        self, upload: Upload, info: ArtifactInfo, digest: str, database_id: str | None
    ) -> AsyncIterator[StoredArtifact]:
        """Put an upload into its place, where it stays while the block lasts."""
        new_layers: list[str] = []
        try:
            async with self.lock.shared():
                stored = await self._take_place(upload, info, digest, database_id, new_layers)
                new_layers.clear()
                yield stored
        finally:
            if new_layers:
                with contextlib.suppress(OSError, RuntaraError):  # the sweep does it then
                    await self.remove_unneeded_layers(new_layers)

    async def _take_place(
        self, upload: Upload, info: ArtifactInfo, digest: str, database_id: str | None, new_layers: list[str]
    ) -> StoredArtifact:
        return await asyncio.to_thread(self._keep, upload, info, digest, database_id, new_layers)

    def _keep(
        self, upload: Upload, info: ArtifactInfo, digest: str, database_id: str | None, new_layers: list[str]
    ) -> StoredArtifact:
        place = self.directory(digest)
        try:
            require_short_remainder(info.layers, info.size)
            self._keep_layers(upload.path, info.layers, new_layers)
        except InvalidInputError as error:
            raise upload.error_of(error) from None
        place.path.mkdir(exist_ok=True, mode=0o755)
        place.path.chmod(0o755)  # whatever the umask is: programs may run as other users
        if database_id is not None:
            place.mark_used(database_id)
        if info.layers:
            with upload.path.open("rb") as stream:
                place.keep_remainder(stream, info.layers, info.size)
            place.whole.unlink(missing_ok=True)
        else:
            upload.path.chmod(0o555)
            with upload.path.open("rb") as stream:
                os.fsync(stream.fileno())
            upload.path.rename(place.whole)
            self.verified.note(place.whole, digest)
        for directory in (place.path, self.images):
            flush_directory(directory)
        return StoredArtifact(digest, info.size, info.kind, _input_schema(info), _scenario_id(info))

    def _keep_layers(self, path: Path, layers: tuple[Layer, ...], new_layers: list[str]) -> None:
        if not layers:
            return
        new_layers += [layer.digest for layer in layers if not self.layers.has(layer.digest)]
        with path.open("rb") as stream:
            for layer in layers:
                self.layers.keep(stream, layer, str(path))
        base = next(layer for layer in layers if layer.role is LayerRole.BASE)
        if not (self.layers.unpacked(base.digest) / BASE_EXECUTABLE).is_file():
            raise InvalidInputError(f"{path}: its base layer has no {BASE_EXECUTABLE}; compile the scenario again")

    async def remove_unneeded_layers(self, digests: Iterable[str]) -> list[str]:
        """Remove those of these layers that no artifact has; returns them.

        Raises `StorageError` when registrations go on for a minute, or the layers of an artifact cannot be read.
        """
        async with self.lock.alone():
            needed = await asyncio.to_thread(self.needed_layers)
            unneeded = [digest for digest in digests if digest not in needed]
            for digest in unneeded:
                await asyncio.to_thread(self.layers.remove, digest)
        return unneeded

    def needed_layers(self) -> set[str]:
        """The layers of all artifacts here, whichever database has them.

        Raises `StorageError` when an artifact is damaged in the place that tells.
        """
        needed: set[str] = set()
        for directory in artifact_directories(self.images):
            try:
                index = directory.index()
            except FileNotFoundError:
                continue  # a registration was killed before it wrote anything
            except InvalidInputError as error:
                raise StorageError(f"which layers are needed is not known: {error.message}") from error
            if index is not None:
                needed.update(layer.digest for layer in index.layers)
        return needed

    async def _take_apart(self, stored: StoredArtifact) -> None:
        """Keep the layers of a native artifact apart that an earlier version stored as one file."""
        place = self.directory(stored.digest)
        if not await asyncio.to_thread(place.whole.exists):
            return
        async with self.lock.shared():
            await asyncio.to_thread(self._take_apart_now, place, stored)

    def _take_apart_now(self, place: ArtifactDirectory, stored: StoredArtifact) -> None:
        try:
            self._require_whole(place.whole, stored)
            info = inspect_artifact(place.whole)
            self._keep_layers(place.whole, info.layers, [])
            with place.whole.open("rb") as stream:
                place.keep_remainder(stream, info.layers, info.size)
        except InvalidInputError as error:
            raise ArtifactUnavailableError(f"damaged: {error.message}: register the image again") from None
        place.whole.unlink(missing_ok=True)
        flush_directory(place.path)

    def _command(self, stored: StoredArtifact) -> tuple[str, ...]:
        place = self.directory(stored.digest)
        if stored.kind == "native":
            index = self._require_index(place, stored)
            name = f"artifact {stored.digest}"
            base = self.layers.require_unpacked(index.layer(LayerRole.BASE).digest, name)
            workflow = self.layers.require_unpacked(index.layer(LayerRole.WORKFLOW).digest, name)
            return (str(base / BASE_EXECUTABLE), str(workflow))
        self._require_whole(place.whole, stored)
        if stored.kind == "python":
            # Isolated: neither the run directory nor the user's packages come into the program's way.
            return (sys.executable, "-I", "-u", str(place.whole))
        return (str(place.whole),)

    def _require_index(self, place: ArtifactDirectory, stored: StoredArtifact) -> NativeIndex:
        try:
            if self.verified.matches(place.remainder, stored.digest, is_sound=place.remainder_is_sound):
                index = place.index()
                if index is not None:
                    return index
        except FileNotFoundError:
            raise missing_artifact(stored.digest) from None
        except InvalidInputError as error:
            raise ArtifactUnavailableError(f"damaged: {error.message}: register the image again") from None
        raise ArtifactUnavailableError(f"{place.remainder} is damaged: register the image again")

    def _require_whole(self, path: Path, stored: StoredArtifact) -> None:
        try:
            size = path.stat().st_size
            if size != stored.size_bytes:
                raise ArtifactUnavailableError(
                    f"{path} is damaged: it has {size} bytes instead of {stored.size_bytes}: register the image again"
                )
            if not self.verified.matches(path, stored.digest):
                raise ArtifactUnavailableError(
                    f"{path} is damaged: it does not have its SHA-256: register the image again"
                )
        except FileNotFoundError:
            raise missing_artifact(stored.digest) from None


def _input_schema(info: ArtifactInfo) -> str | None:
    document = None if info.manifest is None else info.manifest.get("inputSchema")
    return json.dumps(document) if isinstance(document, dict) else None


def _scenario_id(info: ArtifactInfo) -> str | None:
    scenario = None if info.manifest is None else info.manifest.get("scenario")
    try:
        return validate_identifier("scenario id", scenario["id"]) if isinstance(scenario, dict) else None
    except (KeyError, InvalidInputError):  # not of our compiler: no record begins with it
        return None
