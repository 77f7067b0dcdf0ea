"""Writes that recovery relies on: repeated until they are stored."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_FIRST_SECONDS = 0.2
_RETRY_LAST_SECONDS = 10.0


async def persist(clock: Clock, what: str, attempt: Callable[[], Awaitable[T]]) -> T | None:
    """Repeat until it is stored. Ends with the supervisor, whose successor repeats.

    None when trying again is useless, as for an instance that was deleted meanwhile.
    """
    delay = _RETRY_FIRST_SECONDS
    while True:
        try:
            return await attempt()
        except RuntaraError as error:
            if not error.retryable:
                logger.error("cannot %s: %s", what, error)
                return None
            logger.warning("cannot %s, trying again: %s", what, error)
        await clock.sleep(delay)
        delay = min(delay * 2, _RETRY_LAST_SECONDS)
