from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from runtara_sdk.transport.quic.accepted_streams import AcceptedStreams
from runtara_sdk.transport.quic.lazy_timer import LazyTimer


class Wake:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class InjectedTime:
    """The part of an event loop that a timer uses, with the time in the test's hands."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wakes: list[Wake] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Wake:
        self.wakes.append(Wake(when, callback))
        return self.wakes[-1]

    def advance_to(self, now: float) -> None:
        self.now = now
        due = [wake for wake in self.wakes if wake.when <= now]
        self.wakes = [wake for wake in self.wakes if wake.when > now]
        for wake in due:
            if not wake.is_cancelled:
                wake.callback()


@pytest.fixture
def loop() -> InjectedTime:
    return InjectedTime()


@pytest.fixture
def fired() -> list[float]:
    return []


@pytest.fixture
def timer(loop: InjectedTime, fired: list[float]) -> LazyTimer:
    return LazyTimer(cast("asyncio.AbstractEventLoop", loop), fired.append)


def test_it_fires_once_at_its_time(loop: InjectedTime, timer: LazyTimer, fired: list[float]) -> None:
    timer.set(1.0)
    loop.advance_to(0.9)
    assert fired == []
    loop.advance_to(1.0)
    loop.advance_to(5.0)
    assert fired == [1.0]


def test_moving_it_later_arms_nothing(loop: InjectedTime, timer: LazyTimer, fired: list[float]) -> None:
    for step in range(100):
        timer.set(1.0 + step)
    assert len(loop.wakes) == 1
    loop.advance_to(1.0)
    assert fired == []
    loop.advance_to(100.0)
    assert fired == [100.0]


def test_moving_it_earlier_counts_at_once(loop: InjectedTime, timer: LazyTimer, fired: list[float]) -> None:
    timer.set(5.0)
    timer.set(1.0)
    loop.advance_to(1.0)
    assert fired == [1.0]
    loop.advance_to(6.0)
    assert fired == [1.0]


def test_a_loop_that_wakes_up_a_little_early_is_taken_as_on_time(
    loop: InjectedTime, timer: LazyTimer, fired: list[float]
) -> None:
    timer.set(1.0)
    loop.now = 0.9995
    loop.wakes.pop().callback()
    assert fired == [1.0]


def test_without_a_time_or_cancelled_it_never_fires(loop: InjectedTime, timer: LazyTimer, fired: list[float]) -> None:
    timer.set(1.0)
    timer.set(None)
    loop.advance_to(2.0)
    timer.set(3.0)
    timer.cancel()
    loop.advance_to(4.0)
    assert fired == []


def test_a_stream_is_accepted_once_whatever_the_order() -> None:
    accepted = AcceptedStreams()
    assert [accepted.add(number) for number in (0, 2, 2, 1, 0, 1, 3)] == [True, True, False, True, False, False, True]
    assert accepted.scattered == 0
    assert accepted.add(9)
    assert accepted.scattered == 1
