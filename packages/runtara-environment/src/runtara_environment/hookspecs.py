"""Hooks of the environment's plugins (entry-point group `runtara.runners`)."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from runtara_environment.runner import Runner

PROJECT = "runtara_runners"
GROUP = "runtara.runners"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def runtara_runners() -> Iterable[type[Runner]]:
    """The runner classes that this plugin provides; their `runner_type` must be unique among all plugins."""
    raise NotImplementedError
