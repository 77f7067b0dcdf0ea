"""The processes of a program: what they have used, and the end of those that a killed shim left in its session."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from runtara_environment import shim
from runtara_environment.runners.process_identity import ProcessHandle, ProcessIdentity

_PAUSE_SECONDS = 0.02


def kill_leftovers(program: ProcessIdentity, run_directory: Path, *, timeout_seconds: float) -> bool:
    """Kill the processes of the program's session; whether all of them are gone.

    A session's number can be reused once the session is empty, so a process also has to prove by its working
    directory or its output files that it comes from this run directory. Blocks: call it in a thread.
    """
    give_up = time.monotonic() + timeout_seconds
    while True:
        survivors = [identity for identity in _session_members(program) if _belongs_to(identity.pid, run_directory)]
        if not survivors:
            return True
        if time.monotonic() >= give_up:
            return False
        for identity in survivors:
            handle = ProcessHandle.open(identity)
            if handle is not None:
                handle.send(signal.SIGKILL)
                handle.close()
        time.sleep(_PAUSE_SECONDS)


def session_time_usec(program: ProcessIdentity) -> int:
    """Processor time of the processes of the program's session, and of their children that have ended."""
    ticks = 0
    for member in _session_members(program):
        fields = shim.stat_fields(member.pid)
        if fields is not None:
            ticks += sum(int(each) for each in fields[11:15])
    return ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")


def descendants_time_usec(program: ProcessIdentity) -> int:
    """Processor time of a process and of all that descend from it, in whatever sessions they are."""
    if ProcessIdentity.of_pid(program.pid) != program:
        return 0
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - thousands of entries, names are enough
        fields = shim.stat_fields(entry) if entry.isdigit() else None
        if fields is not None:
            children.setdefault(int(fields[1]), []).append(int(entry))
            ticks[int(entry)] = sum(int(each) for each in fields[11:15])
    found, waiting = 0, [program.pid]
    while waiting:
        pid = waiting.pop()
        found += ticks.pop(pid, 0)
        waiting += children.pop(pid, [])
    return found * 1_000_000 // os.sysconf("SC_CLK_TCK")


def _session_members(program: ProcessIdentity) -> list[ProcessIdentity]:
    leader = ProcessIdentity.of_pid(program.pid)
    if leader is not None and leader != program:
        return []
    session = str(program.pid).encode()
    members = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - thousands of entries, names are enough
        fields = shim.stat_fields(entry) if entry.isdigit() else None
        if fields is not None and fields[3] == session and fields[0] not in (b"Z", b"X"):
            members.append(ProcessIdentity(int(entry), int(fields[19]), program.boot_id))
    return members


def _belongs_to(pid: int, run_directory: Path) -> bool:
    for link in ("cwd", "fd/1", "fd/2"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(f"/proc/{pid}/{link}")).is_relative_to(run_directory.resolve()):  # noqa: PTH115
                return True
    return False
