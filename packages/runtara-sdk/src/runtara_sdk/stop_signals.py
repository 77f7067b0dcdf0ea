"""Ending at a signal, for programs that have something to finish first."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

INSISTS_AFTER_SECONDS = 3.0

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def stop_at_signals(stop: Callable[[], object], *, insist: Callable[[], object] | None = None) -> None:
    """Call `stop` at the first SIGTERM, SIGINT or SIGHUP, from now to the end of the running loop.

    What follows within `INSISTS_AFTER_SECONDS` is the same wish once more: a terminal signals its whole group, and
    parents hand on what they get. It must not cut short the end that is under way. A signal that comes later acts as
    if nobody handled it; with `insist`, the first of those calls it instead, and the time begins anew. Signals that are
    ignored, as `nohup` leaves them, stay so.
    """
    loop = asyncio.get_running_loop()
    began: float | None = None
    steps = [stop] if insist is None else [stop, insist]

    def handle(number: signal.Signals) -> None:
        nonlocal began
        if steps and (began is None or loop.time() - began > INSISTS_AFTER_SECONDS):
            began = loop.time()
            steps.pop(0)()
        elif began is not None and loop.time() - began > INSISTS_AFTER_SECONDS:
            loop.remove_signal_handler(number)
            os.kill(os.getpid(), number)

    for number in _STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, handle, number)
