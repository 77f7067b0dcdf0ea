"""The way to an environment: one connection, and calls that end with an answer or with the error that it named."""

from __future__ import annotations

from collections.abc import AsyncIterable
from types import TracebackType
from typing import Protocol, Self

from runtara_sdk.core_backend import RequestClient
from runtara_sdk.management import codec
from runtara_sdk.management.settings import ManagementSettings
from runtara_sdk.protocol import environment_pb2 as pb


class EnvironmentClient(RequestClient, Protocol):
    """The part of a transport's client that the management SDK uses."""

    async def call_streaming(
        self, payload: bytes, chunks: AsyncIterable[bytes], *, timeout_ms: int | None = None
    ) -> bytes:
        """Send one request followed by raw bytes, and return the answer."""


class EnvironmentConnection:
    """The part of `ManagementSdk` that reaches the environment: a connection, and calls that carry the key."""

    def __init__(self, settings: ManagementSettings, *, client: EnvironmentClient | None = None) -> None:
        self.settings = settings
        self._client = client or _client(settings)
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        """Whether `connect` has succeeded and `close` was not called; a lost connection is made again by itself."""
        return self._is_connected

    async def connect(self) -> None:
        """Reach the environment. Calling again does nothing."""
        await self._client.connect()
        self._is_connected = True

    async def close(self) -> None:
        """Release the connection."""
        self._is_connected = False
        await self._client.close()

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, request: pb.RpcRequest, verb: str, *, timeout_ms: int | None = None) -> pb.RpcResponse:
        timeout_ms = self.settings.request_timeout_ms if timeout_ms is None else timeout_ms
        answer = await self._client.call(self._encode(request), timeout_ms=timeout_ms)
        return codec.decode_response(answer, verb)

    def _encode(self, request: pb.RpcRequest) -> bytes:
        if self.settings.api_key is not None:
            request.api_key = self.settings.api_key
        return request.SerializeToString()


def _client(settings: ManagementSettings) -> EnvironmentClient:
    from runtara_sdk.transport import open_client

    return open_client(
        settings.server_addr,
        server_name=settings.server_name,
        ca_file=settings.ca_file,
        verify=not settings.skip_cert_verification,
        connect_timeout_ms=settings.connect_timeout_ms,
        request_timeout_ms=settings.request_timeout_ms,
    )
