"""A PostgreSQL connection for statements that run all the time, one after the other, apart from the pool.

It saves them the pool's bookkeeping, and the server plans each of them once: their plans do not depend on parameters.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from runtara_core.database.interface import Row

_CLOSE_TIMEOUT_S = 10.0


class StatementConnection:
    """Connects when it is first used, and again after it broke.

    Args:
        url: of the database.
        connect_timeout_s: of a connection attempt.
        command_timeout_s: of a statement.
        server_settings: of the session.
    """

    def __init__(
        self, url: str, *, connect_timeout_s: float, command_timeout_s: float, server_settings: Mapping[str, str]
    ) -> None:
        self._url = url
        self._connect_timeout_s = connect_timeout_s
        self._command_timeout_s = command_timeout_s
        self._server_settings = {**server_settings, "plan_cache_mode": "force_generic_plan"}
        self._connection: asyncpg.Connection[Any] | None = None
        self._turn = asyncio.Lock()

    async def fetch(self, statement: str, arguments: Sequence[Any]) -> Sequence[Row]:
        """The rows of a statement, which is a transaction of its own. Raises what the driver raises."""
        async with self._turn:
            connection = self._connection
            if connection is None or connection.is_closed():
                connection = self._connection = await asyncpg.connect(
                    self._url,
                    timeout=self._connect_timeout_s,
                    command_timeout=self._command_timeout_s,
                    server_settings=self._server_settings,
                )
            try:
                rows: Sequence[Row] = await connection.fetch(statement, *arguments)
            except asyncpg.PostgresError:
                raise
            except BaseException:
                # Broken, or in the middle of an answer that nobody awaits any more.
                self._connection = None
                connection.terminate()
                raise
            return rows

    async def close(self) -> None:
        """Disconnect; the next statement connects again."""
        async with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None and not connection.is_closed():
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                    await connection.close(timeout=_CLOSE_TIMEOUT_S)
