"""Hooks of the compiler's plugins (entry-point group `runtara.compilers`)."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from runtara_compiler.targets import BuildTarget

PROJECT = "runtara_compilers"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def runtara_build_targets() -> Iterable[BuildTarget]:
    """The build targets that this plugin provides; their names must be unique among all plugins."""
    raise NotImplementedError
