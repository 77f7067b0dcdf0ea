"""What a call leaves behind in its process: threads, child processes, open sockets, tasks."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.005
_DESCRIPTORS = Path("/proc/self/fd")
_THREADS = Path("/proc/self/task")


class Leftovers:
    """Compares what there is with what there was when this was made.

    Sockets and child processes are seen where the system has `/proc`.
    """

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._before = _present().keys()

    def texts(self) -> list[str]:
        """What is there in addition once the grace is over; returns as soon as there is nothing."""
        until = time.monotonic() + self._grace_seconds
        while left := self._added():
            if time.monotonic() >= until:
                gc.collect()  # an object that nobody refers to any more is no leak
                return sorted(self._added().values())
            time.sleep(_LOOK_SECONDS)
        return sorted(left)

    def _added(self) -> dict[str, str]:
        return {key: text for key, text in _present().items() if key not in self._before}


async def unfinished_tasks(known: Collection[asyncio.Task[Any]], grace_seconds: float) -> list[str]:
    """The tasks of the running event loop besides the known ones that do not end within the grace."""
    until = time.monotonic() + grace_seconds
    while left := asyncio.all_tasks() - {*known}:
        if time.monotonic() >= until:
            return sorted(f"the task {getattr(task.get_coro(), '__qualname__', task.get_name())}" for task in left)
        await asyncio.sleep(_LOOK_SECONDS)
    return []


def _present() -> dict[str, str]:
    """What there is, by identity."""
    return {**_threads(), **_children(), **_sockets()}


def _threads() -> dict[str, str]:
    return {f"thread {thread.ident}": f"the thread {thread.name!r}" for thread in threading.enumerate()}


def _children() -> dict[str, str]:
    numbers = {child.pid for child in multiprocessing.active_children()}
    for file in _THREADS.glob("*/children"):
        try:
            numbers.update(int(number) for number in file.read_text().split())
        except OSError:  # the thread has just ended
            continue
    return {f"process {number}": f"the process {number}" for number in numbers}


def _sockets() -> dict[str, str]:
    found = {}
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - texts are all that is needed
    except OSError:
        return {}
    for name in names:
        try:
            target = os.readlink(_DESCRIPTORS / name)  # noqa: PTH115 - sockets have no path
        except OSError:
            continue
        if target.startswith("socket:"):
            found[target] = "an open socket"
    return found
