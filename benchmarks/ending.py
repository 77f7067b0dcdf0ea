"""Runs a benchmark so that nothing it has begun outlives it, however it ends but for SIGKILL.

SIGTERM and SIGHUP end it as Ctrl-C does: blocks are left in order, which stops daemons and removes folders. Then what
is still a child of this process, as after a second signal, is stopped as well.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.05
_INTERRUPTED = 130


def run_benchmark(main: Callable[[], None]) -> None:
    """Call `main`; a signal ends it with the exit code 130."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a script has begun this in the background
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            # What listens to Ctrl-C, such as `asyncio.run`, hears of this one, too.
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        main()
    except KeyboardInterrupt:
        print("ended by a signal", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    finally:
        _end_children()


def _end_children() -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for child in _children():
            with suppress(ProcessLookupError):
                os.kill(child, number)
        give_up = time.monotonic() + _STOP_SECONDS
        while _children() and time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)


def _children() -> list[int]:
    """Children of this process that have not ended; those that have are waited for."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found.append(int(path.parent.name))
    return found
