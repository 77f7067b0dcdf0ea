"""Build targets: what turns a generated module into one executable file.

A target is contributed by a plugin module of the entry-point group `runtara.compilers` whose hook
`runtara_build_targets` returns it. `load_build_targets` finds them; a plugin that fails to load is
reported beside the good ones and never hides them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AgentPin:
    """An agent that a workflow uses, fixed when the workflow is built.

    Attributes:
        agent_id: canonical id of the agent.
        module: import path of the module that holds the agent object.
        attribute: name of the agent object in `module`.
        distribution: name of the installed distribution that provides it, or None outside of any.
        version: version of that distribution, or None.
        sha256: digest over the files of the top-level package of `module`, or None when they cannot be found.
    """

    agent_id: str
    module: str
    attribute: str
    distribution: str | None = None
    version: str | None = None
    sha256: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry in an artifact's manifest."""
        return {
            "agentId": self.agent_id,
            "module": self.module,
            "attribute": self.attribute,
            "distribution": self.distribution,
            "version": self.version,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """All that a target may build from.

    Attributes:
        module_source: the generated Python module; it defines `workflow` (a `runtara_sdk.workflow.Workflow`).
        module_name: the name under which it has to be importable.
        manifest: JSON object that the artifact carries as `runtara-manifest.json`; a target may add keys.
        agents: the agents that `module_source` imports.
        work_dir: an empty directory of this build alone, removed afterwards.
        progress: takes one line a stage; never blocks.
        data_dir: the data directory of the compilation, for what a target keeps between builds.
    """

    module_source: str
    module_name: str
    manifest: dict[str, Any]
    agents: tuple[AgentPin, ...]
    work_dir: Path
    progress: Progress
    data_dir: Path | None = None


class BuildTarget(ABC):
    """One way to build. Two builds of the same request give the same bytes."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The value of `--target`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Names the toolchain with its versions; part of the cache key. Must be quick."""

    def missing(self) -> str | None:
        """What this machine lacks to build, with the remedy; None when nothing is missing."""
        return None

    @abstractmethod
    async def build(self, request: BuildRequest) -> Path:
        """Build into `request.work_dir` and return the path of the executable file.

        Raises `runtara_sdk.errors.RuntaraError` with a one-line message that names the remedy.
        """
