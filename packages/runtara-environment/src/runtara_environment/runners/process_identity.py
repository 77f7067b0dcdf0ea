"""Which process is meant: a pid alone is not enough, it is reused after its process has died.

The identity is pid, start time and boot; a handle (pidfd) pins it, so that no signal ever reaches a stranger.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from runtara_environment import shim

_POLL_SECONDS = 0.05


def current_boot_id() -> str:
    """The kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one boot; `start_time` is field 22 of /proc/PID/stat, in clock ticks since boot."""

    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def of_pid(cls, pid: int) -> ProcessIdentity | None:
        """The identity of the process that has this pid now, also when it is a zombie."""
        fields = _stat_fields(pid)
        return None if fields is None else cls(pid, int(fields[19]), current_boot_id())

    @property
    def is_present(self) -> bool:
        """Whether this very process still has its pid (alive or not yet reaped)."""
        return self.of_pid(self.pid) == self

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs: present and not a zombie."""
        fields = _stat_fields(self.pid)
        return fields is not None and fields[0] not in (b"Z", b"X") and self.is_present


def _stat_fields(pid: int) -> list[bytes] | None:
    """As `shim.stat_fields`; raises OSError when this process may not look: whom it cannot see may live."""
    fields = shim.stat_fields(pid)
    if fields is None:
        Path("/proc/self/stat").read_bytes()  # no descriptor, no memory: nothing is known of anybody
        fields = shim.stat_fields(pid)  # what was short a moment ago may be there again
    return fields


class ProcessHandle:
    """A grip on one process, child of this daemon or not; release it with `close`."""

    def __init__(self, identity: ProcessIdentity, pidfd: int | None) -> None:
        self._identity = identity
        self._pidfd = pidfd

    @classmethod
    def open(cls, identity: ProcessIdentity) -> ProcessHandle | None:
        """A handle, or None when the process is gone; without pidfd in this kernel the handle polls."""
        try:
            pidfd = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            return None
        except OSError:
            return cls(identity, None) if identity.is_present else None
        handle = cls(identity, pidfd)
        try:
            if identity.is_present:  # checked after opening: what the pidfd pins is what was compared
                return handle
        except OSError:
            handle.close()
            raise
        handle.close()
        return None

    async def wait_ended(self) -> None:
        """Return once the process has ended; reaps it when it is a child of this process."""
        if self._pidfd is None:
            while self._identity.is_alive:  # noqa: ASYNC110 - this kernel announces nothing
                await asyncio.sleep(_POLL_SECONDS)
        else:
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            loop.add_reader(self._pidfd, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._identity.pid, os.WNOHANG)  # noqa: ASYNC222 - does not block

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this very process; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, number)
            elif self._identity.is_alive:
                os.kill(self._identity.pid, number)

    def close(self) -> None:
        """Give the handle back; harmless to repeat."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def __del__(self) -> None:
        self.close()
