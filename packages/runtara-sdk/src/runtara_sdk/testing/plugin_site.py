"""A directory of installed plugins, as an installer leaves it, for tests of what loads plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

_AGENT = """
from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, capability

class Nothing(BaseModel):
    pass

@capability(id="do-nothing", description="Nothing.")
def do_nothing(inputs: Nothing) -> None:
    return None

the_agent = AgentDefinition(id={agent_id!r}, capabilities=[do_nothing])

def runtara_agents():
    return [the_agent]
"""


def agent_source(agent_id: str) -> str:
    """A module with one agent, `the_agent`, whose only capability `do-nothing` does nothing."""
    return _AGENT.format(agent_id=agent_id)


class PluginSite:
    """Distributions `acme-NAME` of version 1.2, each with one plugin, in a directory that is on the search path.

        site = PluginSite(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        site.add("weather", agent_source("weather"))

    Attributes:
        directory: where they lie.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(
        self,
        name: str,
        source: str,
        *,
        group: str = "runtara.agents",
        value: str | None = None,
        requires: Iterable[str] = (),
    ) -> str:
        """Install a plugin; the name of its module is returned.

        Args:
            name: of the entry point.
            source: of its module.
            group: of the entry point.
            value: of the entry point; the module when left out.
            requires: requirements of the distribution (PEP 508).
        """
        module = f"module_of_{name}"
        (self.directory / f"{module}.py").write_text(source)
        self.describe(f"acme-{name}", f"[{group}]\n{name} = {value or module}\n", requires=requires)
        return module

    def describe(
        self,
        distribution: str,
        entry_points: str = "",
        *,
        requires: Iterable[str] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Install the metadata of a distribution.

        Args:
            distribution: its name.
            entry_points: text of its `entry_points.txt`.
            requires: requirements (PEP 508).
            headers: further core metadata, such as `Summary`; each on one line.
        """
        information = self.directory / f"{distribution.replace('-', '_')}-1.2.dist-info"
        information.mkdir()
        lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
        lines += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {distribution}\nVersion: 1.2\n{lines}\nOf a test.\n"
        )
        (information / "entry_points.txt").write_text(entry_points)

    def forget(self) -> None:
        """Take its modules out of this process, so that the next test may have others of their names."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self.directory)):
                del sys.modules[name]
