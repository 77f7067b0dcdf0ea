"""The storage in memory, SQLite and PostgreSQL side by side, and their answers made comparable."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
from runtara_core.models import EventPage
from runtara_core.steps import StepPage
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import (
    ConcurrencyLimitError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
from runtara_sdk.models import CheckpointResult, SignalPoll

EXAMPLE_STORAGE = Path(__file__).parents[2] / "examples" / "outside_plugins" / "storage" / "src"

ERRORS = (
    ConcurrencyLimitError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)


class Trio:
    """The three storages, empty again at the start of each sequence of steps."""

    def __init__(self, postgres_url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._postgres_url = postgres_url
        self._postgres = self.run(open_storage(postgres_url))
        self.run(self._postgres.open())
        self._sqlite: Storage | None = None
        self.storages: dict[str, Any] = {}
        self.seen: Counter[str] = Counter()
        self.steps = 0

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def empty(self) -> None:
        self.run(self._empty())

    async def _empty(self) -> None:
        if self._sqlite is not None:
            await self._sqlite.close()
        self._sqlite = await open_storage("sqlite://:memory:")
        await self._sqlite.open()
        connection = await asyncpg.connect(self._postgres_url)
        await connection.execute("DELETE FROM instances; UPDATE first_epochs SET epoch = 0")
        await connection.close()
        model = importlib.import_module("acme_storage").MemoryStorage()
        self.storages = {"model": model, "sqlite": self._sqlite, "postgres": self._postgres}

    def close(self) -> None:
        self.run(self._postgres.close())
        if self._sqlite is not None:
            self.run(self._sqlite.close())
        self.loop.close()


def comparable(value: Any) -> Any:
    """A result without the numbers that a database gives out as it likes."""
    match value:
        case CheckpointResult(pending_signal=signal) if signal is not None:
            return replace(value, pending_signal=replace(signal, signal_id=0))
        case SignalPoll(signal=signal) if signal is not None:
            return replace(value, signal=replace(signal, signal_id=0))
        case [CheckpointResult(), *_]:
            return [comparable(each) for each in value]
        case StepPage(steps=steps):
            return replace(value, steps=tuple(replace(step, position=0) for step in steps))
        case EventPage(events=events):
            return replace(value, events=tuple(replace(event, event_id=0) for event in events))
        case _:
            return value


async def outcome(call: Awaitable[Any]) -> Any:
    """What a call returned, or the kind of error that it raised."""
    try:
        return comparable(await call)
    except ERRORS as error:
        return type(error).__name__
