"""The first launch of an instance asks for nothing that it has not recorded itself, and finds all that it has."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk import RuntaraSdk, durable
from runtara_sdk.clock import SystemClock
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import CallProgress
from runtara_sdk.retry import RetryPolicy
from runtara_sdk.seen_keys import SeenKeys
from runtara_sdk.testing import memory_store
from runtara_sdk.testing.memory_store import MemoryStore


class Asked:
    """Counts the lookups of a store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[str] = []
        original = memory_store._LaunchBackend.get_progress

        async def get_progress(backend: Any, checkpoint_id: str) -> CallProgress:
            self.keys.append(checkpoint_id)
            return await original(backend, checkpoint_id)

        monkeypatch.setattr(memory_store._LaunchBackend, "get_progress", get_progress)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def launch(store: MemoryStore) -> RuntaraSdk:
    backend = store.launch()
    return RuntaraSdk(
        InstanceSettings("one", "test", launch_epoch=store.epoch, heartbeat_interval_ms=0), backend=backend
    )


async def test_a_first_launch_does_not_ask_and_a_second_does(asked: Asked) -> None:
    store = MemoryStore(SystemClock())
    done: list[str] = []

    async def work(name: str) -> str:
        done.append(name)
        return name

    for _ in range(2):
        async with launch(store) as sdk:
            for name in ("a", "b"):
                assert await sdk.step(name, lambda name=name: work(name)) == name
            await sdk.suspended()
        store.status = memory_store.InstanceStatus.PENDING
    assert done == ["a", "b"]
    assert asked.keys == ["step::a", "step::b"], "of the second launch"


async def test_what_the_process_recorded_itself_is_found(asked: Asked) -> None:
    calls: list[int] = []

    @durable
    async def charge(order: int) -> int:
        calls.append(order)
        return order

    async with launch(MemoryStore(SystemClock())) as sdk:
        assert [await charge(7), await charge(7), await charge(8)] == [7, 7, 8]
        assert calls == [7, 8]
        await sdk.checkpoint("step::x", b'"stored"')

        async def fail() -> str:
            raise AssertionError("what is recorded is not done")

        assert await sdk.step("x", fail) == "stored"
        await sdk.completed()
    assert len(asked.keys) == 2


async def test_a_failed_call_finds_its_attempts(asked: Asked) -> None:
    tried: list[int] = []

    async def fail() -> None:
        tried.append(1)
        raise OSError("down")

    async with launch(MemoryStore(SystemClock())) as sdk:
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                await sdk.step("x", fail, retry=RetryPolicy(max_retries=2, delay_ms=0))
        await sdk.completed()
    assert len(tried) == 4, "three attempts, and the last of them once more"
    assert asked.keys == ["step::x"]


def test_no_key_that_was_added_is_forgotten() -> None:
    seen = SeenKeys()
    mistaken = sum(seen.add(f"key-{number}") for number in range(20_000))
    assert mistaken < 20
    assert all(seen.add(f"key-{number}") for number in range(20_000))
