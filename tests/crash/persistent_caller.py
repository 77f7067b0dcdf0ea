"""A client of the environment that repeats its calls until they are answered, as daemons under test come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from runtara_sdk.errors import RuntaraError
from runtara_sdk.management import ManagementSdk, ManagementSettings

_PAUSE_SECONDS = 0.05


class StuckError(Exception):
    """What had to come did not come in time."""


class Persist(Protocol):
    """Makes a call until it is answered: (answer or refusal, whether an earlier attempt may have been obeyed)."""

    async def __call__(self, call: Callable[[ManagementSdk], Awaitable[Any]]) -> tuple[Any, bool]: ...


@asynccontextmanager
async def persistent_caller(settings: ManagementSettings, seconds: float) -> AsyncIterator[Persist]:
    """A client, and the function that makes calls of it; `StuckError` when `seconds` have brought no answer."""
    sdk = ManagementSdk(settings)

    async def persist(call: Callable[[ManagementSdk], Awaitable[Any]]) -> tuple[Any, bool]:
        deadline = time.monotonic() + seconds
        repeated = False
        while True:
            try:
                return await call(sdk), repeated
            except RuntaraError as error:
                if not error.retryable:
                    return error, repeated
                if time.monotonic() > deadline:
                    raise StuckError(f"no answer of the environment: {error}") from error
            repeated = True
            await asyncio.sleep(_PAUSE_SECONDS)

    try:
        yield persist
    finally:
        await sdk.close()
