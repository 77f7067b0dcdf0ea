"""Loading of runner plugins; a broken one is put aside with its reason and never takes the daemon down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pluggy
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.plugins import Plugin, PluginError, find_plugins

from runtara_environment import hookspecs
from runtara_environment.runner import Runner


@dataclass(frozen=True, slots=True)
class BrokenRunner:
    """A plugin that provides no usable runner, and why."""

    plugin: Plugin
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedRunners:
    """The runners of this installation by type, and the plugins that failed."""

    runners: Mapping[str, Runner]
    broken: tuple[BrokenRunner, ...]

    def get(self, runner_type: str) -> Runner:
        """The runner of this type; raises `ConfigurationError` naming what there is instead."""
        runner = self.runners.get(runner_type)
        if runner is None:
            known = ", ".join(sorted(self.runners)) or "none"
            reasons = "".join(f"; plugin {item.plugin.name}: {item.reason}" for item in self.broken)
            raise ConfigurationError(f"there is no runner {runner_type!r}: installed are {known}{reasons}")
        return runner


def load_runners(variables: Mapping[str, str] | None = None) -> LoadedRunners:
    """Load the enabled plugins of group `runtara.runners`.

    Args:
        variables: instead of the process's environment; RUNTARA_PLUGINS and RUNTARA_DISABLE_PLUGINS are read from it.
    """
    return load_plugins(find_plugins(hookspecs.GROUP, variables))


def load_plugins(plugins: list[Plugin]) -> LoadedRunners:
    """Load the given plugins, those that are enabled."""
    runners: dict[str, Runner] = {}
    broken = []
    for plugin in plugins:
        if not plugin.is_enabled:
            continue
        try:
            runners |= _load(plugin, taken=runners)
        except PluginError as error:
            broken.append(BrokenRunner(plugin, error.reason))
    return LoadedRunners(runners, tuple(broken))


def _load(plugin: Plugin, *, taken: Mapping[str, Runner]) -> dict[str, Runner]:
    """The runners of one plugin. A manager of its own each: what one plugin breaks stays with it."""
    module = plugin.load()

    def make_runners() -> dict[str, Runner]:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(module, plugin.name)
        manager.check_pending()
        made = [runner_class() for classes in manager.hook.runtara_runners() for runner_class in classes]
        return {runner.runner_type: runner for runner in made}

    found = plugin.guard(make_runners)
    if not found:
        raise PluginError("it provides no runner: implement the hook runtara_runners")
    for runner_type, runner in found.items():
        if not isinstance(runner, Runner):
            raise PluginError(f"its {runner_type!r} is not a subclass of runtara_environment.runner.Runner")
        if runner_type in taken:
            raise PluginError(f"another plugin provides the runner {runner_type!r} already")
    return found
