"""The compiler as the `runtara` command sees it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.services import ChildFile, CompiledScenario, CompilerService, Progress

from runtara_compiler.unchanged import RememberedCompilation, UnchangedScenarios

if TYPE_CHECKING:
    from runtara_compiler.closure import ChildSource
    from runtara_compiler.compilation import CompilationResult

_VERSION = 1
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]+")


class Compiler(CompilerService):
    """Compiles scenario files; the file's name without its suffix is the scenario id, the version is 1."""

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
        """Compile a scenario file with its children for `target`, from the cache when nothing changed.

        Raises `InvalidInputError` with every validation error, one a line, when the scenario is not acceptable.
        """
        document = await asyncio.to_thread(read_scenario_file, scenario_path)
        embedded = await asyncio.to_thread(read_children, children)
        scenario_id = scenario_id_of(scenario_path)
        known = UnchangedScenarios(data_dir)
        key = await asyncio.to_thread(
            known.key,
            document,
            tenant_id=tenant_id,
            scenario_id=scenario_id,
            version=_VERSION,
            target=target,
            children=embedded,
        )
        compiled = known.find(key) if key is not None else None
        if compiled is not None:
            progress("unchanged, taken from the cache")
            return _outcome(scenario_id, compiled, from_cache=True)
        result = await _compile(document, scenario_path, scenario_id, tenant_id, target, data_dir, progress, embedded)
        compiled = RememberedCompilation.of(result)
        if key is not None:
            known.remember(key, compiled)
        return _outcome(scenario_id, compiled, from_cache=result.from_cache)

    def missing(self, target: str) -> str | None:
        """What this machine lacks to compile for `target`, with the remedy; None when nothing is missing.

        Raises `InvalidInputError` when there is no such target.
        """
        from runtara_compiler.targets.loading import load_build_targets

        return load_build_targets().find(target).missing()


def _outcome(scenario_id: str, compiled: RememberedCompilation, *, from_cache: bool) -> CompiledScenario:
    return CompiledScenario(
        scenario_id=scenario_id,
        artifact_path=compiled.artifact,
        artifact_sha256=compiled.sha256,
        artifact_bytes=compiled.size,
        from_cache=from_cache,
        warnings=compiled.warnings,
    )


async def _compile(
    document: bytes,
    scenario_path: Path,
    scenario_id: str,
    tenant_id: str,
    target: str,
    data_dir: Path,
    progress: Progress,
    children: Sequence[tuple[ChildFile, bytes]],
) -> CompilationResult:
    # Imported here, so that an unchanged scenario starts without the compiler.
    from runtara_compiler.compilation import CompilationInput, compile_scenario
    from runtara_compiler.language.diagnostics import ScenarioError

    compilation = CompilationInput(
        tenant_id=tenant_id,
        scenario_id=scenario_id,
        version=_VERSION,
        execution_graph=document,
        target=target,
        data_dir=data_dir,
        origin=str(scenario_path),
        child_scenarios=child_sources(children),
    )
    try:
        return await compile_scenario(compilation, progress=progress)
    except ScenarioError as error:
        lines = (f"{scenario_path}: {diagnostic}" for diagnostic in error.diagnostics)
        raise InvalidInputError("\n".join(lines)) from error


def read_children(children: Sequence[ChildFile]) -> tuple[tuple[ChildFile, bytes], ...]:
    """Each child with the content of its file."""
    return tuple((child, read_scenario_file(child.path)) for child in children)


def child_sources(children: Sequence[tuple[ChildFile, bytes]]) -> tuple[ChildSource, ...]:
    """The children as the compiler takes them."""
    from runtara_compiler.closure import ChildSource

    return tuple(
        ChildSource(child.scenario_id, content, version=child.version, origin=str(child.path))
        for child, content in children
    )


def read_scenario_file(path: Path) -> bytes:
    """The content of a scenario file; raises `InvalidInputError` naming path and reason."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror or error}") from error


def scenario_id_of(path: Path) -> str:
    """The scenario id that stands for a file: its name without suffix, other characters than an id's replaced."""
    name = path.name.removesuffix(".json")
    return _NOT_IN_AN_ID.sub("-", name).strip("-.")[:128] or "scenario"
