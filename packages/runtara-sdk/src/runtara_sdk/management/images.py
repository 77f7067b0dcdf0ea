"""Images of an environment: sent, listed, removed."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from runtara_sdk.errors import ImageNotFoundError
from runtara_sdk.identifiers import refuse_empty
from runtara_sdk.management import codec
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.models import ImageInfo, ImagePage, ImageVersionPage, RegisteredImage
from runtara_sdk.management.paging import check_page, iterate
from runtara_sdk.management.upload import digest_file, read_chunks
from runtara_sdk.outcome import encode_json
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.resource_limits import ResourceLimits

UPLOAD_TIMEOUT_MS = 600_000


class ImageVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that registers images and shows them."""

    async def register_image(
        self,
        tenant_id: str,
        name: str,
        binary: bytes,
        *,
        description: str | None = None,
        runner: str | None = None,
        limits: ResourceLimits | None = None,
        metadata: Mapping[str, Any] | None = None,
        sha256: str | None = None,
        signature: bytes | None = None,
    ) -> RegisteredImage:
        """Register a small artifact (under 16 MB, else use `register_image_stream`) in one message.

        The arguments are those of `register_image_stream`.
        An upload that does not have the given `sha256` is refused.
        """
        message = pb.RegisterImageRequest(
            tenant_id=tenant_id,
            name=name,
            description=description,
            binary=binary,
            runner_type=_runner_number(runner),
            runner=refuse_empty("runner", runner) or "",
            limits=codec.encode_limits(limits),
            metadata=_optional_json(metadata, "metadata"),
            sha256=sha256,
            signature=signature,
        )
        payload = self._encode(pb.RpcRequest(register_image=message))
        answer = await self._client.call(payload, timeout_ms=UPLOAD_TIMEOUT_MS)
        return _registered(codec.decode_response(answer, "register_image"))

    async def register_image_stream(
        self,
        tenant_id: str,
        name: str,
        source: str | Path | AsyncIterable[bytes],
        *,
        binary_size: int | None = None,
        sha256: str | None = None,
        description: str | None = None,
        runner: str | None = None,
        limits: ResourceLimits | None = None,
        metadata: Mapping[str, Any] | None = None,
        signature: bytes | None = None,
        timeout_ms: int = UPLOAD_TIMEOUT_MS,
    ) -> RegisteredImage:
        """Register an artifact of any size, sent in chunks.

        Args:
            tenant_id: owner of the image.
            name: what the image is called.
            source: path of a file, whose size and digest are found here; or an asynchronous iterable of bytes.
            binary_size: bytes that will come; the environment refuses the upload when another number came.
            sha256: digest of the bytes, lower-case hex; refused likewise.
            description: free text.
            runner: name of the runner that must launch it, such as `oci`; None leaves it to the environment.
            limits: bounds of its launches, where a start says nothing else.
            metadata: JSON object kept with the image.
            signature: of the digest, as `runtara_sdk.artifact.signing` makes it.
            timeout_ms: bound of the whole upload, milliseconds.
        """
        chunks: AsyncIterable[bytes]
        if isinstance(source, str | Path):
            digest = await digest_file(Path(source))
            binary_size, sha256 = digest.size, digest.sha256
            chunks = read_chunks(Path(source))
        else:
            chunks = source
        message = pb.RegisterImageStreamStart(
            tenant_id=tenant_id,
            name=name,
            description=description,
            binary_size=binary_size or 0,
            runner_type=_runner_number(runner),
            runner=refuse_empty("runner", runner) or "",
            limits=codec.encode_limits(limits),
            metadata=_optional_json(metadata, "metadata"),
            sha256=sha256,
            signature=signature,
        )
        payload = self._encode(pb.RpcRequest(register_image_stream=message))
        answer = await self._client.call_streaming(payload, chunks, timeout_ms=timeout_ms)
        return _registered(codec.decode_response(answer, "register_image"))

    async def list_images(
        self, tenant_id: str | None = None, *, limit: int = 100, offset: int = 0, page_token: str | None = None
    ) -> ImagePage:
        """A page of images, newest first; `page_token` is that of the page before, for the same tenant."""
        tenant_id = refuse_empty("tenant_id", tenant_id) or self.settings.tenant_id
        check_page(limit, offset)
        message = pb.ListImagesRequest(tenant_id=tenant_id, limit=limit, offset=offset, page_token=page_token or "")
        answer = (await self._call(pb.RpcRequest(list_images=message), "list_images")).list_images
        images = tuple(codec.decode_image(image) for image in answer.images)
        return ImagePage(images, answer.total_count, answer.next_page_token or None)

    def iterate_images(self, tenant_id: str | None = None, *, page_size: int = 100) -> AsyncIterator[ImageInfo]:
        """Every image, newest first, fetched a page at a time; what is registered meanwhile moves no other."""
        return iterate(
            lambda token: self.list_images(tenant_id, limit=page_size, page_token=token), lambda page: page.images
        )

    async def get_image(self, image_id: str, tenant_id: str) -> ImageInfo:
        """One image; raises `ImageNotFoundError`."""
        message = pb.GetImageRequest(image_id=image_id, tenant_id=tenant_id)
        response = await self._call(pb.RpcRequest(get_image=message), "get_image")
        if not response.get_image.found:
            raise ImageNotFoundError(f"tenant {tenant_id} has no image {image_id}")
        return codec.decode_image(response.get_image.image)

    async def list_image_versions(
        self, image_id: str, tenant_id: str, *, limit: int = 100, before_version: int | None = None
    ) -> ImageVersionPage:
        """A page of an image's versions, newest first; the last number of it is `before_version` of the next page.

        Raises `ImageNotFoundError`.
        """
        check_page(limit)
        message = pb.ListImageVersionsRequest(
            image_id=image_id, tenant_id=tenant_id, limit=limit, before_version=before_version
        )
        response = await self._call(pb.RpcRequest(list_image_versions=message), "list_image_versions")
        if not response.list_image_versions.found:
            raise ImageNotFoundError(f"tenant {tenant_id} has no image {image_id}")
        return ImageVersionPage(
            tuple(codec.decode_image_version(version) for version in response.list_image_versions.versions)
        )

    async def delete_image(self, image_id: str, tenant_id: str) -> None:
        """Remove an image; raises `ImageNotFoundError`."""
        message = pb.DeleteImageRequest(image_id=image_id, tenant_id=tenant_id)
        response = await self._call(pb.RpcRequest(delete_image=message), "delete_image")
        codec.require_success(response.delete_image, "delete_image")


def _runner_number(runner: str | None) -> pb.RunnerType:
    """What a server that reads no names of runners understands."""
    return pb.RUNNER_OCI if runner == "oci" else pb.RUNNER_NATIVE


def _registered(response: pb.RpcResponse) -> RegisteredImage:
    codec.require_success(response.register_image, "register_image")
    answer = response.register_image
    return RegisteredImage(answer.image_id, answer.version, answer.warning or None)


def _optional_json(value: Mapping[str, Any] | None, what: str) -> bytes | None:
    return None if value is None else encode_json(dict(value), what)
