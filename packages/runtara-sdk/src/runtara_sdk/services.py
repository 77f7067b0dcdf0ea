"""What the `runtara` command needs of distributions that the SDK must not import.

Each is an entry point of group `runtara.services` that names a class: `compiler` (contributed by runtara-compiler)
implements `CompilerService`; `local_platform` (contributed by runtara-environment) implements `LocalPlatform`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CompiledScenario:
    """A scenario turned into an executable file."""

    scenario_id: str
    artifact_path: Path
    artifact_sha256: str
    artifact_bytes: int
    from_cache: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildFile:
    """A scenario file to embed: its id, and its version where one matters."""

    scenario_id: str
    path: Path
    version: int | None = None


class CompilerService(Protocol):
    """Turns scenario files into artifacts."""

    async def compile_file(
        self,
        scenario_path: Path,
        *,
        tenant_id: str,
        target: str,
        data_dir: Path,
        progress: Progress,
        children: Sequence[ChildFile] = (),
    ) -> CompiledScenario:
        """Compile a scenario file for `target` (`python` or `native`), from the cache when nothing changed.

        `children` are the scenarios that it embeds.

        Raises `InvalidInputError` with every validation error, one a line, when the scenario is not acceptable.
        """

    def missing(self, target: str) -> str | None:
        """What this machine lacks to compile for `target`, with the remedy; None when nothing is missing."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How one run of an instance ended (status is a value of `InstanceStatus`).

    `other_version` names what an instance that had finished before was started with, when that is something else than
    what was compiled now.
    """

    instance_id: str
    status: str
    output: Any
    error: str | None
    termination_reason: str | None
    already_finished: bool = False
    other_version: str | None = None


class LocalPlatform(Protocol):
    """Core and environment in one process."""

    async def require_plugins(self, *, runner: str | None, database_url: str | None) -> None:
        """Raise `ConfigurationError` when no installed plugin provides that runner, or a storage for that URL."""

    async def run_artifact(
        self,
        artifact: CompiledScenario,
        *,
        tenant_id: str,
        instance_id: str | None,
        input_envelope: Mapping[str, Any] | None,
        data_dir: Path,
        database_url: str | None,
        runner: str | None,
        progress: Progress,
    ) -> RunOutcome:
        """Run one instance to its end, resuming the instance `instance_id` when it exists and is unfinished.

        Without a `runner` the settings of the environment say which one.
        """
