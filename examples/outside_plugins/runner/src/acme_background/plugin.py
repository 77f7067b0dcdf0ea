"""The hook by which the environment finds the runner."""

from __future__ import annotations

from collections.abc import Iterable

from runtara_environment.hookspecs import hookimpl
from runtara_environment.runner import Runner

from acme_background.runner import BackgroundRunner


@hookimpl
def runtara_runners() -> Iterable[type[Runner]]:
    """The runner `background`."""
    return (BackgroundRunner,)
