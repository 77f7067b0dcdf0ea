"""Processes of nobody in particular that are given the pids of dead ones, as the kernel does sooner or later."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from pathlib import Path

_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
_TRIES = 20
"""Another process of the machine may be faster."""


class Strangers:
    """Processes that do nothing and must not be hurt."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def take(self, pids: Collection[int]) -> int:
        """Let strangers have these pids, each in a session of its own; returns how many of them were to be had."""
        return sum(self._take(pid) for pid in pids)

    @property
    def all_alive(self) -> bool:
        """Whether none was hurt."""
        return all(process.poll() is None for process in self._processes)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait(10)

    def _take(self, pid: int) -> bool:
        for _ in range(_TRIES):
            if Path(f"/proc/{pid}").exists():
                return False
            _LAST_PID.write_text(str(pid - 1))
            process = subprocess.Popen(["sleep", "infinity"], start_new_session=True)
            if process.pid == pid:
                self._processes.append(process)
                return True
            process.kill()
            process.wait(10)
        return False
