"""Names, versions and artifacts together.

The artifact is on disk for good before its row exists, and rows change in one transaction, so a name always points to
something that can be launched. A deleted image keeps rows and files: what was started from it can be resumed by digest.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from runtara_core.database import Database, Row, Transaction
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import ImageNotFoundError, InvalidInputError, InvalidStateError, StorageError
from runtara_sdk.identifiers import validate_identifier
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits

from runtara_environment.database_identity import DatabaseIdentity
from runtara_environment.registry.artifact_store import MAX_ARTIFACT_BYTES, ArtifactStore, StoredArtifact
from runtara_environment.registry.image_catalogue import ImageCatalogue, image_of
from runtara_environment.registry.models import Image, ImageArtifact
from runtara_environment.registry.signature_policy import SignaturePolicy, SignatureRefusedError

_REGISTRATION_TRIES = 5
_USE_AGAIN_MS = 3_600_000
_READ_BYTES = 1024 * 1024

_MAX_DESCRIPTION_LENGTH = 4096
_MAX_METADATA_BYTES = 64 * 1024


class ImageRegistry(ImageCatalogue):
    """The images of all tenants, and their artifacts on this host."""

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        *,
        clock: Clock | None = None,
        max_artifact_bytes: int = MAX_ARTIFACT_BYTES,
        signatures: SignaturePolicy | None = None,
    ) -> None:
        super().__init__(database)
        self._store = ArtifactStore(
            data_dir, max_artifact_bytes=max_artifact_bytes, database_id=DatabaseIdentity(database).get
        )
        self._clock = clock or SystemClock()
        self._signatures = signatures or SignaturePolicy()

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifacts of this host, by their digests."""
        return self._store

    async def register(
        self,
        *,
        tenant_id: str,
        name: str,
        artifact: bytes | AsyncIterable[bytes],
        description: str | None = None,
        runner_type: str = "native",
        runner: str | None = None,
        limits: ResourceLimits = UNLIMITED,
        metadata: Mapping[str, Any] | None = None,
        expected_size: int | None = None,
        expected_sha256: str | None = None,
        signature: bytes | None = None,
    ) -> Image:
        """Store an artifact and point the tenant's name to it; the same content again keeps its version.

        Args:
            tenant_id: owner.
            name: unique within the tenant.
            artifact: the content, whole or in chunks.
            description: free text.
            runner_type: what an original client says of its runner.
            runner: name of the runner that must launch it; None leaves it to the environment.
            limits: bounds of its launches, where a start says nothing else.
            metadata: free JSON object.
            expected_size: bytes that the artifact must have.
            expected_sha256: hexadecimal digest that the artifact must have.
            signature: Ed25519 signature of the digest (`runtara_sdk.artifact.signing`).

        Raises `InvalidInputError` (ids, size, checksum, format, signature), `StorageError`; then the name is as it was.
        """
        validate_identifier("tenant_id", tenant_id)
        validate_identifier("name", name)
        validate_identifier("runner_type", runner_type)
        if runner is not None:
            validate_identifier("runner", runner)
        limits.require_usable()
        if description is not None and len(description) > _MAX_DESCRIPTION_LENGTH:
            raise InvalidInputError(
                f"description has {len(description)} characters: at most {_MAX_DESCRIPTION_LENGTH} are accepted"
            )
        metadata_json = _encode_metadata(metadata)
        new_image_id = str(uuid.uuid4())
        now_ms = self._clock.now_ms()

        async def work(transaction: Transaction, stored: StoredArtifact) -> Row | None:
            await transaction.execute(
                "insert_image",
                image_id=new_image_id,
                tenant_id=tenant_id,
                name=name,
                runner_type=runner_type,
                now_ms=now_ms,
            )
            image = await transaction.fetch_one("lock_image", tenant_id=tenant_id, name=name)
            if image is None:
                return None
            image_id = image["image_id"]
            version = await transaction.fetch_one("find_image_version", image_id=image_id, digest=stored.digest)
            if version is None:
                await transaction.execute(
                    "insert_image_version",
                    image_id=image_id,
                    digest=stored.digest,
                    size_bytes=stored.size_bytes,
                    kind=stored.kind,
                    last_version=image["last_version"],
                    now_ms=now_ms,
                )
                version = await transaction.fetch_one("find_image_version", image_id=image_id, digest=stored.digest)
            if version is None:
                return None
            number = version["version"]
            await transaction.execute("use_image_version", image_id=image_id, version=number, now_ms=now_ms)
            if signature is not None:
                await transaction.execute(
                    "sign_image_version", image_id=image_id, version=number, signature=signature.hex()
                )
            if stored.input_schema is not None:
                await transaction.execute(
                    "set_input_schema", image_id=image_id, digest=stored.digest, input_schema=stored.input_schema
                )
            if stored.scenario_id is not None:
                await transaction.execute(
                    "set_scenario_id", image_id=image_id, digest=stored.digest, scenario_id=stored.scenario_id
                )
            await transaction.execute(
                "point_image",
                image_id=image_id,
                description=description,
                runner_type=runner_type,
                runner=runner,
                limits=limits.encode(),
                metadata=metadata_json,
                version=number,
                now_ms=now_ms,
            )
            return await transaction.fetch_one("get_image", image_id=image_id, tenant_id=tenant_id)

        async with self._store.putting(
            artifact,
            expected_size=expected_size,
            expected_sha256=expected_sha256,
            accept=lambda digest: self._signatures.require(digest, signature),
        ) as stored:
            row = None
            for _ in range(_REGISTRATION_TRIES):  # retention may remove the image at this moment
                row = await self._database.run(
                    lambda transaction: work(transaction, stored), operation="register image"
                )
                if row is not None:
                    break
        if row is None:
            raise StorageError("register image: its row vanished; try again")
        return image_of(row)

    async def register_file(
        self,
        path: Path,
        *,
        tenant_id: str,
        name: str,
        description: str | None = None,
        runner_type: str = "native",
        runner: str | None = None,
        limits: ResourceLimits = UNLIMITED,
        metadata: Mapping[str, Any] | None = None,
        expected_size: int | None = None,
        expected_sha256: str | None = None,
    ) -> Image:
        """Register the artifact in a file of this host; the rest as in `register`."""
        return await self.register(
            tenant_id=tenant_id,
            name=name,
            artifact=_read(path),
            description=description,
            runner_type=runner_type,
            runner=runner,
            limits=limits,
            metadata=metadata,
            expected_size=expected_size,
            expected_sha256=expected_sha256,
        )

    async def resolve(
        self, image_id: str, tenant_id: str, *, version: int | None = None, digest: str | None = None
    ) -> ImageArtifact:
        """What to launch: the current version, or the one asked for (which a deleted image still has).

        Raises `ImageNotFoundError`, or `ArtifactUnavailableError` when the artifact is not on this host or damaged, and
        its subclass `SignatureRefusedError` when it is not signed as this host wants it.
        """
        pinned = version is not None or digest is not None
        image = await self.find(image_id, tenant_id, version=version, digest=digest)
        if image is None or (image.is_deleted and not pinned):
            raise ImageNotFoundError(f"image {image_id} not found")
        self._require_trusted(image)
        argv = await self._store.command(StoredArtifact(image.digest, image.size_bytes, image.kind))
        return ImageArtifact(image.digest, argv, image.kind, image.version)

    async def use(self, image_id: str, tenant_id: str, *, version: int | None = None) -> Image:
        """The image at its current version, or the one asked for, which is about to be started.

        Retention leaves it alone for a day at least, by when the instance is there. Raises `ImageNotFoundError`.
        """
        image = await self.find(image_id, tenant_id, version=version)
        if image is None or image.is_deleted:
            named = f"image {image_id}" if version is None else f"version {version} of image {image_id}"
            raise ImageNotFoundError(f"{named} not found")
        return await self._used(image)

    async def use_version(self, image_id: str, tenant_id: str, digest: str) -> Image:
        """As `use`, of an image that may be deleted, at the version of an artifact."""
        return await self._used(await self.get_version(image_id, tenant_id, digest))

    async def _used(self, image: Image) -> Image:
        now_ms = self._clock.now_ms()
        if 0 <= now_ms - image.last_used_at_ms < _USE_AGAIN_MS:
            return image

        async def work(transaction: Transaction) -> int:
            return await transaction.execute(
                "use_image_version", image_id=image.image_id, version=image.version, now_ms=now_ms
            )

        if await self._database.run(work, operation="use image") == 0:
            raise ImageNotFoundError(f"version {image.version} of image {image.image_id} has just been removed")
        return image

    def _require_trusted(self, image: Image) -> None:
        try:
            self._signatures.require(image.digest, image.signature)
        except InvalidInputError as error:
            raise SignatureRefusedError(
                f"image {image.image_id} is not launched on this host: {error.message}", image.updated_at_ms
            ) from None

    async def delete(self, image_id: str, tenant_id: str, *, in_use: bool = False) -> None:
        """Withdraw an image from new starts; its versions stay for what runs or sleeps.

        Raises `ImageNotFoundError`, and `InvalidStateError` when the caller says that the image is `in_use`.
        """

        async def work(transaction: Transaction) -> None:
            row = await transaction.fetch_one("get_image", image_id=image_id, tenant_id=tenant_id)
            if row is None or row["deleted_at_ms"] is not None:
                raise ImageNotFoundError(f"image {image_id} not found")
            if in_use:
                raise InvalidStateError(
                    f"image {image_id} has unfinished instances: let them end or cancel them, then delete it"
                )
            await transaction.execute(
                "delete_image", image_id=image_id, tenant_id=tenant_id, now_ms=self._clock.now_ms()
            )

        await self._database.run(work, operation="delete image")


def _encode_metadata(metadata: Mapping[str, Any] | None) -> str | None:
    if metadata is None:
        return None
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"metadata is not a JSON object: {error}") from None
    if len(text) > _MAX_METADATA_BYTES:
        raise InvalidInputError(f"metadata has {len(text)} bytes as JSON: at most {_MAX_METADATA_BYTES} are accepted")
    return text


async def _read(path: Path) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        while block := await asyncio.to_thread(file.read, _READ_BYTES):
            yield block
