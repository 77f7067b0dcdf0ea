"""Long inputs are received within a bound of bytes, of one sender half of it, and whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from runtara_core.wire.uploads import UploadRoom, parts_of, receive
from runtara_sdk.errors import InvalidInputError, ServerError


async def test_what_is_above_the_bound_waits_and_is_refused_in_the_end() -> None:
    room = UploadRoom(100, wait_seconds=0.05)
    async with room.take(60):
        async with room.take(40):
            with pytest.raises(ServerError) as caught:
                async with room.take(1):
                    pass
        assert (caught.value.code, caught.value.retryable) == ("TOO_MANY_STARTS", True)
        async with room.take(40):
            pass


async def test_room_that_becomes_free_is_given_on() -> None:
    room = UploadRoom(100, wait_seconds=30)
    most = held = 0

    async def upload() -> None:
        nonlocal most, held
        async with room.take(64):
            held += 64
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 64

    await asyncio.gather(*(upload() for _ in range(32)))
    assert (most, held) == (64, 0)


async def test_one_sender_leaves_room_for_others() -> None:
    room = UploadRoom(100, wait_seconds=0.05)
    async with room.take(50, "a"):
        with pytest.raises(ServerError):
            async with room.take(50, "a"):
                pass
        async with room.take(50, "b"):
            pass


async def test_an_upload_larger_than_the_bound_comes_alone() -> None:
    room = UploadRoom(100, wait_seconds=0.05)
    async with room.take(500, "a"):
        with pytest.raises(ServerError):
            async with room.take(1, "b"):
                pass


async def test_an_input_is_received_whole_or_refused() -> None:
    assert await receive(parts_of(b"0123456789", part_bytes=3), 10) == b"0123456789"
    with pytest.raises(InvalidInputError, match="has 10 bytes, announced were 11"):
        await receive(parts_of(b"0123456789"), 11)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10

    with pytest.raises(InvalidInputError, match="more than the 15 bytes"):
        await receive(endless(), 15)
