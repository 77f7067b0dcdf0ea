"""Ending at a signal, for programs that have something to finish first."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

INSISTS_AFTER_SECONDS = 3.0

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def stop_at_signals(stop: Callable[[], object]) -> None:
    """Call `stop` at the first SIGTERM, SIGINT or SIGHUP, from now to the end of the running loop.

    What follows within `INSISTS_AFTER_SECONDS` is the same wish once more: a terminal signals its whole group, and
    parents hand on what they get. It must not cut short the end that is under way. A signal that comes later acts as
    if nobody handled it. Signals that are ignored, as `nohup` leaves them, stay so.
    """
    loop = asyncio.get_running_loop()
    began: float | None = None

    def handle(number: signal.Signals) -> None:
        nonlocal began
        if began is None:
            began = loop.time()
            stop()
        elif loop.time() - began > INSISTS_AFTER_SECONDS:
            loop.remove_signal_handler(number)
            os.kill(os.getpid(), number)

    for number in _STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, handle, number)
