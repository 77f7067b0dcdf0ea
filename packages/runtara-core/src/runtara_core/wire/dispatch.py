"""What the handlers of both ports share: decode, serve one verb, encode its answer or its error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from runtara_sdk.errors import ProtocolError, RuntaraError
from runtara_sdk.protocol import MAX_PAYLOAD_SIZE

logger = logging.getLogger(__name__)

HANDLER_SECONDS = 55.0
"""Time of a call that does not wait by its nature; longer than the databases' own deadlines let a statement take."""

RequestT = TypeVar("RequestT", bound=Message)


class ErrorFields(Protocol):
    """The fields of an `RpcError` message of any package."""

    code: str
    message: str
    retryable: bool


class RpcDispatcher:
    """Serves the `RpcRequest`/`RpcResponse` wrappers of one protocol package.

    `verbs` maps the name of a request's oneof field to a coroutine function that takes the wrapper and returns the
    filled response wrapper. `authorize` runs before it: it raises the error of a call that may not be made, and may
    narrow the request to what the caller may see. `seconds_of` gives the time that a request may take; None, and for
    want of it every request, any time.
    """

    def __init__(
        self,
        request_type: type[Any],
        response_type: type[Any],
        verbs: Mapping[str, Callable[[Any], Awaitable[Any]]],
        *,
        authorize: Callable[[Any], Awaitable[None]],
        seconds_of: Callable[[Any], float | None] | None = None,
    ) -> None:
        self._request_type = request_type
        self._response_type = response_type
        self._verbs = verbs
        self._authorize = authorize
        self._seconds_of = seconds_of

    async def serve(self, payload: bytes) -> bytes:
        """Answer one request payload; raises `ProtocolError` only when it is not a request at all."""
        request = self._request_type()
        try:
            request.ParseFromString(payload)
        except DecodeError as error:
            raise ProtocolError(f"not a {self._request_type.DESCRIPTOR.full_name}: {error}") from error
        return await self.answer(request, self._verbs.get(request.WhichOneof("request") or ""))

    async def answer(self, request: Any, handler: Callable[[Any], Awaitable[Any]] | None) -> bytes:
        """Answer a decoded request with `handler`, once it is authorized; None is a verb that is not served."""
        verb = request.WhichOneof("request")
        if verb is None:
            return self._error("EMPTY_REQUEST", "the request names no call", retryable=False)
        seconds = self._seconds_of(request) if self._seconds_of else None
        try:
            if seconds is None:
                response = await self._respond(request, handler)
            else:
                async with asyncio.timeout(seconds):
                    response = await self._respond(request, handler)
        except TimeoutError:
            return self._error("TIMEOUT", f"{verb} took too long; its effect is unknown", retryable=True)
        except RuntaraError as error:
            return self._error(error.code, error.message, retryable=error.retryable)
        except Exception:
            logger.exception("%s failed", verb)
            return self._error(f"{verb.upper()}_ERROR", f"{verb} failed inside the server", retryable=True)
        if response is None:
            return self._error("NOT_IMPLEMENTED", f"this server does not serve {verb}", retryable=False)
        size = response.ByteSize()
        if size > MAX_PAYLOAD_SIZE:
            return self._error(
                "ANSWER_TOO_LARGE",
                f"the answer to {verb} has {size} bytes, more than the {MAX_PAYLOAD_SIZE} of a frame; "
                "ask for less: a smaller limit, or a narrower filter",
                retryable=False,
            )
        return bytes(response.SerializeToString())

    async def _respond(self, request: Any, handler: Callable[[Any], Awaitable[Any]] | None) -> Any:
        await self._authorize(request)
        return None if handler is None else await handler(request)

    def _error(self, code: str, message: str, *, retryable: bool) -> bytes:
        response = self._response_type()
        fields: ErrorFields = response.error
        fields.code = code
        fields.message = message
        fields.retryable = retryable
        return bytes(response.SerializeToString())
