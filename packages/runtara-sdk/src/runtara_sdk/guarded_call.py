"""Calls of plugins' code with a deadline.

Importing a stranger's module runs its code, which may wait for a server that does not answer, or for ever. Python
cannot stop it; so it runs in a thread of its own, which is left behind when its time is over. The thread keeps no
process from ending.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader

VARIABLE = "RUNTARA_PLUGIN_LOAD_SECONDS"
DEFAULT_SECONDS = 30.0

Result = TypeVar("Result")


class LoadDeadlineError(Exception):
    """A plugin's code did not return in time; the text says how long it had, and the remedy."""


def call_with_deadline(function: Callable[[], Result]) -> Result:
    """What `function` returns or raises, `SystemExit` included.

    Raises `LoadDeadlineError` when it takes longer than RUNTARA_PLUGIN_LOAD_SECONDS (30 by default). A call that never
    gives the interpreter back, as in a loop of C, cannot be bounded.
    """
    seconds = _seconds()
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="runtara-plugin", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if results:
        return results[0]
    raise LoadDeadlineError(
        f"it did not finish loading within {seconds:g} s (set by {VARIABLE}): "
        "modules must wait for nothing when they are imported"
    )


def check_load_seconds(reader: EnvironmentReader) -> None:
    """Raise `ConfigurationError` when RUNTARA_PLUGIN_LOAD_SECONDS is no time; those who load plugins take 30 s then."""
    text = reader.optional_text(VARIABLE)
    if text is not None and _time(text) is None:
        raise ConfigurationError(f"{VARIABLE}={text!r} is no number of seconds above 0: set it to one such as 30")


def _seconds() -> float:
    return _time(os.environ.get(VARIABLE, "")) or DEFAULT_SECONDS


def _time(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None
