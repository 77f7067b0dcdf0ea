"""The calls of package `runtara.environment` that are about images."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from runtara_sdk.artifact.signing import require_signature
from runtara_sdk.errors import ImageNotFoundError, InvalidInputError, RuntaraError
from runtara_sdk.management.codec import decode_limits
from runtara_sdk.protocol import environment_pb2 as pb

from runtara_environment.registry import ImageKey
from runtara_environment.service import EnvironmentService
from runtara_environment.wire.codec import (
    decode_runner_type,
    encode_image,
    encode_image_version,
    page_limit,
    tenant_of,
)
from runtara_environment.wire.page_tokens import page_token, read_page_token
from runtara_environment.wire.refusals import require_final


class ImageHandler:
    """Decodes a call, asks the service, encodes the answer."""

    def __init__(self, service: EnvironmentService) -> None:
        self._service = service

    @property
    def verbs(self) -> Mapping[str, Callable[[pb.RpcRequest], Awaitable[pb.RpcResponse]]]:
        """The calls that are served here, but for the streamed upload."""
        return {
            "register_image": self.register_image,
            "list_images": self.list_images,
            "get_image": self.get_image,
            "list_image_versions": self.list_image_versions,
            "delete_image": self.delete_image,
        }

    async def register_image(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Register an image that fits into one frame."""
        call = request.register_image
        return await self._register(call, call.binary, size=len(call.binary))

    async def register_image_stream(self, request: pb.RpcRequest, chunks: AsyncIterator[bytes]) -> pb.RpcResponse:
        """Register an image whose bytes follow on the stream."""
        call = request.register_image_stream
        return await self._register(
            call,
            chunks,
            size=call.binary_size or None,
        )

    async def _register(
        self,
        call: pb.RegisterImageRequest | pb.RegisterImageStreamStart,
        content: bytes | AsyncIterator[bytes],
        *,
        size: int | None,
    ) -> pb.RpcResponse:
        limits, runner = decode_limits(call.limits), call.runner or None
        try:
            await self._service.require_acceptable(limits, runner)
            image = await self._service.registry.register(
                tenant_id=call.tenant_id,
                name=call.name,
                artifact=content,
                runner_type=decode_runner_type(call.runner_type),
                runner=runner,
                limits=limits,
                description=call.description if call.HasField("description") else None,
                metadata=_decode_metadata(call.metadata) if call.HasField("metadata") else None,
                expected_size=size,
                expected_sha256=call.sha256 if call.HasField("sha256") else None,
                signature=require_signature(call.signature, "the signature") if call.HasField("signature") else None,
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                register_image=pb.RegisterImageResponse(success=False, error=error.message, error_code=error.code)
            )
        self._service.expect_artifact(image.image_id)
        warnings = (await self._service.warning_of_runner(runner), await self._service.exchange.spread(image))
        warning = "; ".join(each for each in warnings if each is not None) or None
        return pb.RpcResponse(
            register_image=pb.RegisterImageResponse(
                success=True, image_id=image.image_id, version=image.version, warning=warning
            )
        )

    async def list_images(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of images, newest first."""
        call = request.list_images
        token = read_page_token(call, (int, str))
        limit = page_limit(call.limit)
        page = await self._service.registry.list_images(
            tenant_id=tenant_of(call),
            limit=limit,
            offset=call.offset,
            after=None if token is None else ImageKey(int(token.key[0] or 0), str(token.key[1])),
        )
        total = page.total_count if token is None else token.total_count
        answer = pb.ListImagesResponse(images=[encode_image(image) for image in page.images], total_count=total)
        if len(page.images) == limit:
            answer.next_page_token = page_token(call, (page.images[-1].created_at_ms, page.images[-1].image_id), total)
        return pb.RpcResponse(list_images=answer)

    async def get_image(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """One image of the tenant."""
        call = request.get_image
        try:
            image = await self._service.registry.get(call.image_id, call.tenant_id)
        except ImageNotFoundError:
            return pb.RpcResponse(get_image=pb.GetImageResponse(found=False))
        return pb.RpcResponse(get_image=pb.GetImageResponse(found=True, image=encode_image(image)))

    async def list_image_versions(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of the versions of an image, newest first."""
        call = request.list_image_versions
        try:
            versions = await self._service.registry.list_versions(
                call.image_id,
                call.tenant_id,
                before_version=call.before_version if call.HasField("before_version") else None,
                limit=page_limit(call.limit),
            )
        except ImageNotFoundError:
            return pb.RpcResponse(list_image_versions=pb.ListImageVersionsResponse(found=False))
        return pb.RpcResponse(
            list_image_versions=pb.ListImageVersionsResponse(
                found=True, versions=[encode_image_version(version) for version in versions]
            )
        )

    async def delete_image(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Delete an image that no unfinished instance needs."""
        call = request.delete_image
        try:
            await self._service.delete_image(call.image_id, call.tenant_id)
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                delete_image=pb.DeleteImageResponse(success=False, error=error.message, error_code=error.code)
            )
        return pb.RpcResponse(delete_image=pb.DeleteImageResponse(success=True))


def _decode_metadata(metadata: bytes) -> dict[str, Any]:
    try:
        value = json.loads(metadata)
    except ValueError as error:
        raise InvalidInputError(f"metadata is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInputError("metadata is not a JSON object")
    return value
