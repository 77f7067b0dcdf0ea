"""Sessions that are kept for the next call: each is used by one thread at a time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from runtara_sdk.agents import AgentError

from runtara_agents_sftp.failures import CONNECTION_ERROR, TIMEOUT
from runtara_agents_sftp.parameters import SftpParameters
from runtara_agents_sftp.session import SftpSession

_MOST_IDLE = 8
_IDLE_SECONDS = 60.0
_TRUSTED_SECONDS = 2.0
"""An idle session that was used longer ago is asked whether it is still there."""

_ANSWER_SECONDS = 5.0

_BROKEN = frozenset({CONNECTION_ERROR, TIMEOUT})


class SessionPool:
    """The idle sessions of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[SftpSession]] = {}
        self._timer: threading.Timer | None = None
        self._closings = 0

    @contextlib.contextmanager
    def session(self, parameters: SftpParameters, check: Callable[[], object]) -> Iterator[SftpSession]:
        """A session for one call; it is kept afterwards unless the connection broke or the pool was closed meanwhile.

        Args:
            parameters: of the connection.
            check: called while the server is waited for; raises to end the call.

        Raises:
            AgentError: no session can be opened.
        """
        closings = self._closings
        session = self._taken(parameters) or SftpSession(parameters)
        session.client.check = check
        is_good = False
        try:
            yield session
            is_good = True
        except AgentError as error:
            is_good = error.code not in _BROKEN and error.code != "TIMEOUT"
            raise
        finally:
            if is_good and session.is_alive:
                self._give_back(session, closings)
            else:
                session.close()

    def close(self) -> None:
        """Close all idle sessions, and those in use once they are given back."""
        with self._lock:
            self._closings += 1
            sessions = [session for idle in self._idle.values() for session in idle]
            self._idle.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for session in sessions:
            session.close()

    def _taken(self, parameters: SftpParameters) -> SftpSession | None:
        key = parameters.key()
        while True:
            with self._lock:
                idle = self._idle.get(key)
                session = idle.pop() if idle else None
            if session is None:
                return None
            age = time.monotonic() - session.used_at
            if (
                session.is_alive
                and age < _IDLE_SECONDS
                and (age < _TRUSTED_SECONDS or session.client.answers(_ANSWER_SECONDS))
            ):
                return session
            session.close()

    def _give_back(self, session: SftpSession, closings: int) -> None:
        session.used_at = time.monotonic()
        with self._lock:
            # A call that was cancelled may end on its thread after the agent was closed.
            old = self._keep(session) if closings == self._closings else [session]
        for each in old:
            each.close()

    def _keep(self, session: SftpSession) -> list[SftpSession]:
        """Put a session beside the idle ones; those that are too many come out. The lock is held."""
        self._idle.setdefault(session.parameters.key(), []).append(session)
        everything = sorted((each for idle in self._idle.values() for each in idle), key=lambda each: each.used_at)
        old = everything[: max(0, len(everything) - _MOST_IDLE)]
        for each in old:
            self._idle[each.parameters.key()].remove(each)
        self._look_later()
        return old

    def _look_later(self) -> None:
        """Have sessions closed that nobody uses; the lock is held."""
        if self._timer is None:
            self._timer = threading.Timer(_IDLE_SECONDS, self._close_unused)
            self._timer.daemon = True
            self._timer.start()

    def _close_unused(self) -> None:
        ends_at = time.monotonic() - _IDLE_SECONDS
        with self._lock:
            unused = [each for idle in self._idle.values() for each in idle if each.used_at <= ends_at]
            self._idle = {
                key: kept for key, idle in self._idle.items() if (kept := [each for each in idle if each not in unused])
            }
            self._timer = None
            if self._idle:
                self._look_later()
        for each in unused:
            each.close()
