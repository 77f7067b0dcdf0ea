"""Discovery of what other distributions contribute through entry points, guarded against broken ones.

The SDK itself hosts `runtara.backends`, `runtara.services` and `runtara.cli`; the other groups are hosted by the
distributions that use them. Nothing is loaded before it is asked for.

`RUNTARA_PLUGINS` (comma-separated names, `group:name` or distributions) allows only what it lists;
`RUNTARA_DISABLE_PLUGINS` switches off what it lists.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtara_sdk.entry_points import installed_entry_points, load_target
from runtara_sdk.errors import ConfigurationError

GROUPS = (
    "runtara.agents",
    "runtara.backends",
    "runtara.cli",
    "runtara.compilers",
    "runtara.runners",
    "runtara.services",
    "runtara.storage",
)


BUNDLE_VARIABLE = "RUNTARA_STDLIB_NAME"
"""Names the module of the product's bundle of agents; see `runtara_sdk.agents.bundle`."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed entry point; not loaded.

    Attributes:
        group: entry-point group.
        name: name within the group.
        target: `module:attribute`.
        distribution: name of the distribution that contributes it.
        version: its version.
        is_enabled: whether RUNTARA_PLUGINS and RUNTARA_DISABLE_PLUGINS let it load.
    """

    group: str
    name: str
    target: str
    distribution: str
    version: str
    is_enabled: bool

    def load(self) -> Any:
        """The object; raises `PluginError` with the reason when it cannot be loaded."""
        if not self.is_enabled:
            raise PluginError(
                f"plugin {self.name} of {self.group} is switched off by RUNTARA_DISABLE_PLUGINS or RUNTARA_PLUGINS"
            )
        try:
            return load_target(self.target)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(f"plugin {self.name} of {self.distribution} cannot be loaded: {reason}") from error


class PluginError(ConfigurationError):
    """A plugin cannot be loaded; the message names it, its distribution and the reason."""

    code = "PLUGIN_ERROR"


def find_plugins(group: str, variables: Mapping[str, str] | None = None) -> list[Plugin]:
    """The installed plugins of a group, by name; nothing is imported."""
    variables = os.environ if variables is None else variables
    allowed = _names(variables.get("RUNTARA_PLUGINS", ""))
    disabled = _names(variables.get("RUNTARA_DISABLE_PLUGINS", ""))
    found: dict[tuple[str, str], Plugin] = {}
    for entry in installed_entry_points(group):
        labels = {entry.name, f"{group}:{entry.name}", entry.distribution}
        plugin = Plugin(
            group=group,
            name=entry.name,
            target=entry.value,
            distribution=entry.distribution,
            version=entry.version,
            is_enabled=(not allowed or bool(labels & allowed)) and not labels & disabled,
        )
        found.setdefault((plugin.name, plugin.distribution), plugin)
    return sorted(found.values(), key=lambda plugin: (plugin.name, plugin.distribution))


def find_plugin(group: str, name: str) -> Plugin | None:
    """The plugin of that name; among several the first one that is not switched off."""
    named = [plugin for plugin in find_plugins(group) if plugin.name == name]
    return next((plugin for plugin in named if plugin.is_enabled), named[0] if named else None)


def load_one(group: str, name: str, *, package: str, needed_by: str) -> Any:
    """The object of a group's entry; `package` is what to install when it is missing, for `needed_by`.

    Raises `ConfigurationError` when it is missing, `PluginError` when it cannot be loaded.
    """
    plugin = find_plugin(group, name)
    if plugin is not None:
        return plugin.load()
    raise ConfigurationError(f"{needed_by} needs {package}, which is not installed: run `pip install {package}`")


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
