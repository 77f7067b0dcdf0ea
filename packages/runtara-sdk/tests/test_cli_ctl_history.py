"""Events that are followed: each once, in their order, over restarts of the environment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from runtara_sdk import InstanceStatus, TransportError
from runtara_sdk.cli.ctl import history
from runtara_sdk.management import ManagementSdk
from runtara_sdk.management.models import EventInfo, EventPage


def event(number: int) -> EventInfo:
    return EventInfo(number, "i", "custom", 1_000 * number, None, None, None)


@dataclass
class Environment:
    """An environment whose instance does one thing more at each look, and ends at last."""

    total: int
    known: int
    away: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def list_events(self, instance_id: str, **asked: Any) -> EventPage:
        self.asked.append(asked)
        after_ms = asked.get("created_after_ms") or 0
        rows = [event(number) for number in range(self.known, 0, -1) if 1_000 * number >= after_ms]
        offset = asked.get("offset", 0)
        return EventPage(tuple(rows[offset : offset + asked["limit"]]), len(rows))

    async def get_instance_status(self, instance_id: str) -> Any:
        if self.away:
            self.away -= 1
            raise TransportError("the environment is away")
        self.known = min(self.total, self.known + 1)
        ended = self.known == self.total
        return SimpleNamespace(status=InstanceStatus.COMPLETED if ended else InstanceStatus.RUNNING)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_POLL_SECONDS", 0)


async def told(environment: Environment, limit: int, *, follow: bool) -> list[int]:
    return [each.event_id async for each in _events(environment, limit, follow=follow)]


def _events(environment: Environment, limit: int, *, follow: bool) -> AsyncIterator[EventInfo]:
    sdk = cast("ManagementSdk", environment)
    return history._events(sdk, "i", {}, history._FirstEvents(sdk, "i", {}, limit, None), follow=follow)


async def test_only_the_newest_are_told_and_what_comes_then() -> None:
    assert await told(Environment(9, 5), 2, follow=False) == [4, 5]
    assert await told(Environment(9, 5), 2, follow=True) == [4, 5, 6, 7, 8, 9]


async def test_an_environment_that_is_away_is_waited_for() -> None:
    assert await told(Environment(4, 2, away=3), 10, follow=True) == [1, 2, 3, 4]


async def test_it_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_PATIENCE_MS", -1)
    with pytest.raises(TransportError):
        await told(Environment(4, 2, away=3), 10, follow=True)


async def test_a_burst_that_fills_pages_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_PAGE", 3)
    environment = Environment(40, 1)
    events = _events(environment, 10, follow=True)
    found = [(await anext(events)).event_id]
    environment.known = 39
    found += [each.event_id async for each in events]
    assert found == list(range(1, 41))
