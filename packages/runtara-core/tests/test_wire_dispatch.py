"""Payloads that are no requests, calls that are not served, handlers that fail."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_core.wire import dispatch
from runtara_core.wire.dispatch import RpcDispatcher
from runtara_sdk.errors import InstanceNotFoundError, ProtocolError, StorageError
from runtara_sdk.protocol import management_pb2 as pb


async def _anybody(_request: Any) -> None:
    return None


def dispatcher(**verbs: Any) -> RpcDispatcher:
    return RpcDispatcher(pb.RpcRequest, pb.RpcResponse, verbs, authorize=_anybody)


async def error_of(served: RpcDispatcher, request: pb.RpcRequest) -> Any:
    response = pb.RpcResponse.FromString(await served.serve(request.SerializeToString()))
    assert response.WhichOneof("response") == "error"
    return response.error


HEALTH = pb.RpcRequest(health_check=pb.HealthCheckRequest())


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x0a\x05ab", b"\x07"])
async def test_garbage_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"runtara\.management\.RpcRequest"):
        await dispatcher().serve(payload)


async def test_a_request_without_a_call() -> None:
    error = await error_of(dispatcher(), pb.RpcRequest())
    assert (error.code, error.retryable) == ("EMPTY_REQUEST", False)


async def test_a_call_of_a_newer_protocol_is_no_call() -> None:
    # Field 9999, length-delimited, empty: what a client of the future may send.
    payload = bytes([*_varint(9999 << 3 | 2), 0])
    response = pb.RpcResponse.FromString(await dispatcher().serve(payload))
    assert response.error.code == "EMPTY_REQUEST"


def _varint(number: int) -> list[int]:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return [*parts, number]


async def test_a_call_that_is_not_served() -> None:
    error = await error_of(dispatcher(), HEALTH)
    assert (error.code, error.retryable) == ("NOT_IMPLEMENTED", False)
    assert "health_check" in error.message


@pytest.mark.parametrize(
    ("failure", "code", "retryable"),
    [
        (InstanceNotFoundError("instance x does not exist"), "INSTANCE_NOT_FOUND", False),
        (StorageError("checkpoint: the disk is full"), "DATABASE_ERROR", True),
        (StorageError("checkpoint: a value is too large", retryable=False), "DATABASE_ERROR", False),
    ],
)
async def test_a_typed_error_travels(failure: Exception, code: str, retryable: bool) -> None:
    async def fail(_request: Any) -> Any:
        raise failure

    error = await error_of(dispatcher(health_check=fail), HEALTH)
    assert (error.code, error.message, error.retryable) == (code, str(failure), retryable)


async def test_what_nobody_foresaw_tells_no_internals() -> None:
    async def fail(_request: Any) -> Any:
        raise KeyError("secret")

    error = await error_of(dispatcher(health_check=fail), HEALTH)
    assert (error.code, error.retryable) == ("HEALTH_CHECK_ERROR", True)
    assert "secret" not in error.message


async def test_an_answer_beyond_a_frame_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_PAYLOAD_SIZE", 100)

    async def events(_request: Any) -> pb.RpcResponse:
        return pb.RpcResponse(health_check=pb.HealthCheckResponse(version="x" * 200))

    error = await error_of(dispatcher(health_check=events), HEALTH)
    assert (error.code, error.retryable) == ("ANSWER_TOO_LARGE", False)
    assert "a smaller limit" in error.message
