from __future__ import annotations

import asyncio

from runtara_core.wire.dispatch import RpcDispatcher
from runtara_sdk.protocol import management_pb2 as pb


async def authorize(_request: pb.RpcRequest) -> None:
    """Anybody may."""


async def test_a_call_that_takes_too_long_is_ended_and_told_as_retryable() -> None:
    ended = asyncio.Event()

    async def health_check(_request: pb.RpcRequest) -> pb.RpcResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("unreachable")

    dispatcher = RpcDispatcher(
        pb.RpcRequest,
        pb.RpcResponse,
        {"health_check": health_check},
        authorize=authorize,
        seconds_of=lambda request: 0.01 if request.HasField("health_check") else None,
    )
    request = pb.RpcRequest(health_check=pb.HealthCheckRequest())
    answer = pb.RpcResponse.FromString(await dispatcher.serve(request.SerializeToString()))
    assert (answer.error.code, answer.error.retryable) == ("TIMEOUT", True)
    assert "health_check" in answer.error.message
    assert ended.is_set()


async def test_without_a_time_a_call_may_wait() -> None:
    async def health_check(_request: pb.RpcRequest) -> pb.RpcResponse:
        await asyncio.sleep(0)
        return pb.RpcResponse(health_check=pb.HealthCheckResponse(healthy=True))

    dispatcher = RpcDispatcher(pb.RpcRequest, pb.RpcResponse, {"health_check": health_check}, authorize=authorize)
    request = pb.RpcRequest(health_check=pb.HealthCheckRequest())
    assert pb.RpcResponse.FromString(await dispatcher.serve(request.SerializeToString())).health_check.healthy
