"""Warnings that a client can cause as often as it likes: the log gets a few of them, and the number of the others."""

from __future__ import annotations

import asyncio
import logging

_MOST_IN_A_PERIOD = 20
_PERIOD_SECONDS = 10.0


class Complaints:
    """Logs warnings, a bounded number in each period."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._count = 0

    def warn(self, message: str, *arguments: object) -> None:
        """Log a warning, or count it when there were enough lately; the count is logged at the end of the period."""
        loop = asyncio.get_running_loop()
        if self._count == 0:
            loop.call_later(_PERIOD_SECONDS, self._end_period)
        self._count += 1
        if self._count <= _MOST_IN_A_PERIOD:
            self._logger.warning(message, *arguments)

    def _end_period(self) -> None:
        left_out = self._count - _MOST_IN_A_PERIOD
        self._count = 0
        if left_out > 0:
            self._logger.warning("%d more warnings about clients were left out in %g s", left_out, _PERIOD_SECONDS)
