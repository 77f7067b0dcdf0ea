"""Discovery of what other distributions contribute through entry points, guarded against broken ones.

The SDK itself hosts `runtara.backends`, `runtara.services` and `runtara.cli`; the other groups are hosted by the
distributions that use them. Nothing is loaded before it is asked for.

`RUNTARA_PLUGINS` (comma-separated names, `group:name` or distributions) allows only what it lists;
`RUNTARA_DISABLE_PLUGINS` switches off what it lists. One whose distribution requires another Runtara than is installed
is refused (`runtara_sdk.plugin_compatibility`), and loading has a deadline (`runtara_sdk.guarded_call`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from runtara_sdk.entry_points import installed_entry_points, load_target, normalised_name
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.plugin_compatibility import incompatibility, is_released_together

GROUPS = (
    "runtara.agents",
    "runtara.backends",
    "runtara.cli",
    "runtara.compilers",
    "runtara.runners",
    "runtara.services",
    "runtara.storage",
)

Result = TypeVar("Result")

_REASON_CHARACTERS = 500

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
        return self.guard(lambda: load_target(self.target))

    def guard(self, load: Callable[[], Result]) -> Result:
        """What `load` returns, which runs code of this plugin.

        Raises `PluginError` with the reason when the plugin is switched off, does not fit the installed Runtara, raises
        anything (`SystemExit` included) or takes too long.
        """
        if not self.is_enabled:
            raise PluginError(
                f"plugin {self.name} of {self.group} is switched off by RUNTARA_DISABLE_PLUGINS or RUNTARA_PLUGINS"
            )
        try:
            if is_released_together(self.distribution, self.version):
                return load()
            reason = incompatibility(self.distribution)
            if reason is not None:
                raise IncompatiblePluginError(self._label(reason), reason)
            from runtara_sdk.guarded_call import LoadDeadlineError, call_with_deadline

            try:
                return call_with_deadline(load)
            except LoadDeadlineError as error:
                raise PluginError(self._label(str(error)), str(error)) from None
        except PluginError:
            raise
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {str(error).strip()[:_REASON_CHARACTERS]}"
            raise PluginError(self._label(reason), reason) from error

    def _label(self, reason: str) -> str:
        return f"plugin {self.name} of {self.distribution} cannot be loaded: {reason}"


class PluginError(ConfigurationError):
    """A plugin cannot be loaded; the message names it, its distribution and the reason.

    Attributes:
        reason: without the names.
    """

    code = "PLUGIN_ERROR"

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


class IncompatiblePluginError(PluginError):
    """A plugin's distribution requires another version of Runtara than is installed."""

    code = "PLUGIN_INCOMPATIBLE"


def find_plugins(group: str, variables: Mapping[str, str] | None = None) -> list[Plugin]:
    """The installed plugins of a group, by name; nothing is imported."""
    variables = os.environ if variables is None else variables
    allowed = _names(variables.get("RUNTARA_PLUGINS", ""))
    disabled = _names(variables.get("RUNTARA_DISABLE_PLUGINS", ""))
    found: dict[tuple[str, str], Plugin] = {}
    for entry in installed_entry_points(group):
        name = normalised_name(entry.name)
        labels = {name, f"{group}:{name}", normalised_name(entry.distribution)}
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
    """As installers compare them; in front of a colon stands the name of a group, which keeps its dots."""
    found = set()
    for item in text.split(","):
        group, colon, name = item.strip().rpartition(":")
        if name.strip():
            found.add(f"{group.strip()}{colon}{normalised_name(name)}")
    return frozenset(found)
