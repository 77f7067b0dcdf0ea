"""The hook of build targets (entry-point group `runtara.compilers`).

A plugin turns the Python that a scenario becomes into another kind of artifact than an archive or a native binary. Its
distribution requires the versions of `runtara-compiler` that it works with and names its module:

    [project]
    dependencies = ["runtara-compiler>=0.1,<0.2"]
    [project.entry-points."runtara.compilers"]
    acme = "acme_target.plugin"

    # acme_target/plugin.py
    from runtara_compiler.hookspecs import hookimpl

    @hookimpl
    def runtara_build_targets():
        return [AcmeTarget()]

Each is a `runtara_compiler.targets.BuildTarget`; `runtara compile --target NAME` takes its `name`.
"""

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
