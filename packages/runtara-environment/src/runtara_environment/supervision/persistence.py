"""Writes that recovery relies on: repeated until they are stored."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtara_sdk.clock import Clock
from runtara_sdk.errors import PermissionDeniedError, RuntaraError, StorageError, UnauthenticatedError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PASSING = (StorageError, UnauthenticatedError, PermissionDeniedError)
"""Refusals that an operator ends: a key that was revoked too early, a database that is read-only after a failover."""

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
            if not error.retryable and not isinstance(error, _PASSING):
                logger.error("cannot %s: %s", what, error)
                return None
            logger.warning("cannot %s, trying again: %s", what, error)
        await clock.sleep(delay)
        delay = min(delay * 2, _RETRY_LAST_SECONDS)
