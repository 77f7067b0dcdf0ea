"""Finding the build targets that are installed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pluggy
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.plugins import Plugin, PluginError, find_plugins

from runtara_compiler import hookspecs
from runtara_compiler.targets import BuildTarget

ENTRY_POINT_GROUP = "runtara.compilers"

_TARGET_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class BuildTargets:
    """The usable targets by name, and why the plugin of the others could not be loaded, by plugin name."""

    targets: Mapping[str, BuildTarget]
    broken: Mapping[str, str]

    def find(self, name: str) -> BuildTarget:
        """The target called `name`; raises `InvalidInputError` that tells which there are."""
        if name in self.targets:
            return self.targets[name]
        if name in self.broken:
            raise InvalidInputError(f"build target {name!r} cannot be used: {self.broken[name]}")
        known = ", ".join(sorted(self.targets)) or "none"
        raise InvalidInputError(f"unknown build target {name[:40]!r}; installed: {known}")


def load_build_targets(variables: Mapping[str, str] | None = None) -> BuildTargets:
    """Load every enabled plugin; one that fails is named in `broken` and hides no other."""
    targets: dict[str, BuildTarget] = {}
    broken: dict[str, str] = {}
    for plugin in find_plugins(ENTRY_POINT_GROUP, variables):
        if not plugin.is_enabled:
            continue
        try:
            found = _targets_of(plugin)
        except PluginError as error:
            broken[plugin.name] = error.message
            continue
        for target in found:
            if target.name in targets:
                broken[plugin.name] = f"its target {target.name!r} is already provided by another plugin"
            else:
                targets[target.name] = target
    return BuildTargets(targets, broken)


def _targets_of(plugin: Plugin) -> list[BuildTarget]:
    module = plugin.load()
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
        found = [target for targets in manager.hook.runtara_build_targets() for target in targets]
    except Exception as error:
        raise PluginError(f"plugin {plugin.name} of {plugin.distribution} failed: {error}") from error
    for target in found:
        if not isinstance(target, BuildTarget) or not _TARGET_NAME.fullmatch(target.name):
            raise PluginError(f"plugin {plugin.name} of {plugin.distribution} returned what is no build target")
    return found
