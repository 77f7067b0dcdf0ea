"""Images as their rows tell of them: found, listed, searched. Whether an artifact is on this host, no row says.

An image of another tenant is "not found", as if it did not exist.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from runtara_core.database import Database, Row, Transaction
from runtara_sdk.errors import ImageNotFoundError, InvalidInputError
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits

from runtara_environment.registry.models import Image, ImageKey, ImagePage

DEFAULT_PAGE = 100
MAX_PAGE = 1000
MAX_PREFIX_MATCHES = 10_000

_LAST_CHARACTER = "\U0010ffff"
_NO_VERSION = 2**62


class ImageCatalogue:
    """The images of all tenants. `database` carries `environment_queries` and the environment's schema."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def database(self) -> Database:
        """Where the rows are."""
        return self._database

    async def get(self, image_id: str, tenant_id: str) -> Image:
        """One image at its current version; raises `ImageNotFoundError`."""
        image = await self.find(image_id, tenant_id)
        if image is None or image.is_deleted:
            raise ImageNotFoundError(f"image {image_id} not found")
        return image

    async def get_version(self, image_id: str, tenant_id: str, digest: str) -> Image:
        """One image, a deleted one too, at the version of an artifact; raises `ImageNotFoundError`.

        Whether the artifact is on this host matters to the host that launches.
        """
        image = await self.find(image_id, tenant_id, digest=digest)
        if image is None:
            raise ImageNotFoundError(
                f"image {image_id} has no version with the artifact {digest[:12]}: it has been removed"
            )
        return image

    async def list_versions(
        self, image_id: str, tenant_id: str, *, before_version: int | None = None, limit: int = DEFAULT_PAGE
    ) -> list[Image]:
        """A page of an image's versions, newest first, those before `before_version`; raises `ImageNotFoundError`."""
        if limit < 0:
            raise InvalidInputError(f"limit {limit} must not be negative")
        bounded = min(limit or DEFAULT_PAGE, MAX_PAGE)
        await self.get(image_id, tenant_id)

        async def work(transaction: Transaction) -> list[Row]:
            return list(
                await transaction.fetch_all(
                    "list_image_versions",
                    image_id=image_id,
                    tenant_id=tenant_id,
                    before_version=_NO_VERSION if before_version is None else before_version,
                    page_limit=bounded,
                )
            )

        rows = await self._database.run(work, operation="list image versions", read_only=True)
        return [image_of(row) for row in rows]

    async def input_schema(self, image_id: str, digest: str) -> str | None:
        """The schema that inputs of a version must fit, JSON; None when its manifest tells none."""

        async def work(transaction: Transaction) -> Row | None:
            return await transaction.fetch_one("load_input_schema", image_id=image_id, digest=digest)

        row = await self._database.run(work, operation="input schema", read_only=True)
        return None if row is None else row["input_schema"]

    async def scenario_id(self, image_id: str, digest: str) -> str | None:
        """The scenario that a version is compiled of; None when its manifest tells none."""

        async def work(transaction: Transaction) -> Row | None:
            return await transaction.fetch_one("load_scenario_id", image_id=image_id, digest=digest)

        row = await self._database.run(work, operation="scenario of an image", read_only=True)
        return None if row is None else row["scenario_id"]

    async def find_updates(self, image_ids: Sequence[str]) -> dict[str, int]:
        """When images were registered last, or deleted; unknown ids are left out."""
        if not image_ids:
            return {}
        wanted = json.dumps(list(image_ids))

        async def work(transaction: Transaction) -> dict[str, int]:
            rows = await transaction.fetch_all("list_image_updates", image_ids=wanted)
            return {row["image_id"]: row["updated_at_ms"] for row in rows}

        return await self._database.run(work, operation="image updates", read_only=True)

    async def find_names(self, image_ids: Sequence[str]) -> dict[str, str]:
        """Names by image id, of deleted images too; unknown ids are left out."""
        if not image_ids:
            return {}
        wanted = json.dumps(list(image_ids))

        async def work(transaction: Transaction) -> dict[str, str]:
            rows = await transaction.fetch_all("list_image_names", image_ids=wanted)
            return {row["image_id"]: row["name"] for row in rows}

        return await self._database.run(work, operation="image names", read_only=True)

    async def find_by_name_prefix(self, prefix: str, *, tenant_id: str | None = None) -> list[str]:
        """Ids of images, deleted ones too, whose name begins with `prefix`.

        Raises `InvalidInputError` when they are more than can be searched for.
        """
        page: dict[str, str | int] = {
            "prefix": prefix,
            "bound": prefix + _LAST_CHARACTER,
            "page_limit": MAX_PREFIX_MATCHES + 1,
        }

        async def work(transaction: Transaction) -> list[str]:
            if tenant_id is None:
                rows = await transaction.fetch_all("list_image_ids_by_name_prefix", **page)
            else:
                rows = await transaction.fetch_all("list_tenant_image_ids_by_name_prefix", tenant_id=tenant_id, **page)
            return [row["image_id"] for row in rows]

        found = await self._database.run(work, operation="images by prefix", read_only=True)
        if len(found) > MAX_PREFIX_MATCHES:
            raise InvalidInputError(
                f"more than {MAX_PREFIX_MATCHES} image names begin with {prefix!r}: use a longer prefix"
            )
        return found

    async def list_images(
        self,
        tenant_id: str | None = None,
        *,
        limit: int = DEFAULT_PAGE,
        offset: int = 0,
        after: ImageKey | None = None,
    ) -> ImagePage:
        """A page of images, newest first; a limit of 0 is the default, and at most `MAX_PAGE` come at once.

        With `after` the page begins behind that image, which need not exist any more.
        """
        if limit < 0 or offset < 0:
            raise InvalidInputError(f"limit {limit} and offset {offset} must not be negative")
        bounded = min(limit or DEFAULT_PAGE, MAX_PAGE)
        kind = "images" if tenant_id is None else "tenant_images"
        tenant = {} if tenant_id is None else {"tenant_id": tenant_id}
        page: dict[str, str | int] = {**tenant, "page_limit": bounded, "page_offset": offset}

        async def work(transaction: Transaction) -> ImagePage:
            if after is not None:
                behind: dict[str, str | int] = {
                    "after_created_at_ms": after.created_at_ms,
                    "after_image_id": after.image_id,
                }
                rows = await transaction.fetch_all(f"list_{kind}_after", **page, **behind)
                return ImagePage(tuple(image_of(row) for row in rows), 0)
            rows = await transaction.fetch_all(f"list_{kind}", **page)
            total = await transaction.fetch_one(f"count_{kind}", **tenant)
            return ImagePage(tuple(image_of(row) for row in rows), int(total["total"]) if total is not None else 0)

        return await self._database.run(work, operation="list images", read_only=True)

    async def find(
        self, image_id: str, tenant_id: str, *, version: int | None = None, digest: str | None = None
    ) -> Image | None:
        """One image, a deleted one too, at its current version or the one asked for; None when there is none."""

        async def work(transaction: Transaction) -> Row | None:
            if version is None and digest is None:
                return await transaction.fetch_one("get_image", image_id=image_id, tenant_id=tenant_id)
            return await transaction.fetch_one(
                "get_image_version", image_id=image_id, tenant_id=tenant_id, version=version, digest=digest
            )

        row = await self._database.run(work, operation="get image", read_only=True)
        return None if row is None else image_of(row)


def image_of(row: Row) -> Image:
    """An image from a row with the columns of `image_columns`."""
    metadata, limits = row["metadata"], row["limits"]
    return Image(
        image_id=row["image_id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        description=row["description"],
        runner_type=row["runner_type"],
        metadata=None if metadata is None else json.loads(metadata),
        version=row["version"],
        digest=row["digest"],
        size_bytes=row["size_bytes"],
        kind=row["kind"],
        created_at_ms=row["created_at_ms"],
        updated_at_ms=row["updated_at_ms"],
        is_deleted=row["deleted_at_ms"] is not None,
        current_version=row["current_version"],
        signature=None if row["signature"] is None else bytes.fromhex(row["signature"]),
        version_created_at_ms=row["version_created_at_ms"],
        last_used_at_ms=row["last_used_at_ms"],
        limits=UNLIMITED if limits is None else ResourceLimits.from_json(json.loads(limits)),
        runner=row["runner"],
    )
