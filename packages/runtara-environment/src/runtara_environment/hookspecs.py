"""The hook of runner plugins (entry-point group `runtara.runners`).

A plugin starts programs in another way than as processes of the host. Its distribution requires the versions of
`runtara-environment` that it works with and names its module:

    [project]
    dependencies = ["runtara-environment>=0.1,<0.2"]
    [project.entry-points."runtara.runners"]
    acme = "acme_runner.plugin"

    # acme_runner/plugin.py
    from runtara_environment.hookspecs import hookimpl

    @hookimpl
    def runtara_runners():
        return [AcmeRunner]

Each class is a `runtara_environment.runner.Runner`, made without arguments; `runtara_environment.testing` has the
suite that shows whether it keeps what a runner promises. `runtara run --runner NAME` and RUNTARA_RUNNER choose it by
its `runner_type`. A runner that starts programs as processes of the host, too, may launch through
`runtara_environment.runners.native.NativeRunner` and change what it is given and what it answers.
`runtara new runner` makes a distribution to begin with.
"""

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
