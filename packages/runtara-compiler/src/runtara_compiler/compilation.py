"""Compiling a scenario: load, validate, generate, build (or find in the cache), put in place.

    result = await compile_scenario(
        CompilationInput(tenant_id="acme", scenario_id="orders", version=1, execution_graph=document)
    )

The key of the cache is a digest of the manifest, the generated module and the target's toolchain, so whatever could
change the artifact changes the key. Tenants share the cache, as nothing of a tenant enters an artifact.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtara_sdk.agents import DiscoveredAgent, DiscoveredAgents, discover_agents
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.written_decimal import dump_json

from runtara_compiler.cache import ArtifactCache, CacheEntry
from runtara_compiler.closure import ChildSource, closure_steps, resolve_children
from runtara_compiler.codegen import GeneratedModule, ModuleIdentity, generate_module
from runtara_compiler.codegen.value_expressions import schema_json
from runtara_compiler.language import AgentStep, Diagnostic, Scenario, StartScenarioStep
from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.children import ChildKey, ResolvedChildren
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.language.steps import BaseStep
from runtara_compiler.placement import build_directory, data_directory, put_in_place
from runtara_compiler.provenance import (
    DistributionPin,
    build_manifest,
    compiler_version,
    pin_agent,
    pin_requirements,
)
from runtara_compiler.targets import AgentPin, BuildRequest, BuildTarget, Progress
from runtara_compiler.targets.loading import load_build_targets
from runtara_compiler.validation import validate

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_LARGEST_VERSION = 2**32 - 1
_LONGEST_INPUT_SCHEMA = 256 * 1024
"""Characters of JSON; a manifest has room for four times as many."""


@dataclass(frozen=True, slots=True)
class CompilationInput:
    """What to compile, and where to put it.

    Attributes:
        tenant_id: owner; letters, digits, `.`, `_` and `-`.
        scenario_id: id of the scenario, of the same characters; first part of every checkpoint key.
        version: version of the scenario, 0 to 2^32 - 1.
        execution_graph: the scenario document or the bare graph: JSON text, parsed JSON, or loaded already.
        debug_mode: emit an event at the start and end of each step, even if the document does not ask for it.
        child_scenarios: the scenarios that it embeds, at any depth.
        connection_service_url: where steps fetch connections, unless CONNECTION_SERVICE_URL says another place.
        target: name of the build target.
        data_dir: holds cache and artifacts; DATA_DIR, else `.data`, when left out.
        output: a further copy of the artifact goes there.
        origin: where the document came from, for messages.
    """

    tenant_id: str
    scenario_id: str
    version: int
    execution_graph: Scenario | Mapping[str, Any] | str | bytes
    debug_mode: bool = False
    child_scenarios: Sequence[ChildSource] = ()
    connection_service_url: str | None = None
    target: str = "python"
    data_dir: Path | None = None
    output: Path | None = None
    origin: str = "scenario"


@dataclass(frozen=True, slots=True)
class ChildDependency:
    """A scenario that is embedded in the compiled one."""

    step_id: str
    child_scenario_id: str
    child_version_requested: str
    child_version_resolved: int


@dataclass(frozen=True, slots=True)
class CompilationResult:
    """A compiled scenario.

    Attributes:
        binary_path: the executable file, in `build_dir`; a later compilation of the same version replaces it.
        binary_size: its length in bytes.
        binary_checksum: its SHA-256 in hexadecimal.
        build_dir: directory of this version: `scenario` and `workflow.py`.
        cached_path: the same file under its content key; never changes.
        cached_source_path: the generated module beside it.
        has_side_effects: whether a step may change something outside the workflow.
        child_dependencies: the embedded scenarios, by the steps that start them.
        default_variables: name to default value.
        warnings: findings of validation that do not block.
        from_cache: nothing had to be built.
    """

    binary_path: Path
    binary_size: int
    binary_checksum: str
    build_dir: Path
    cached_path: Path
    cached_source_path: Path
    has_side_effects: bool
    child_dependencies: tuple[ChildDependency, ...] = ()
    default_variables: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    from_cache: bool = False

    def summary(self) -> dict[str, Any]:
        """What the command prints of it besides files, as JSON."""
        return {
            "hasSideEffects": self.has_side_effects,
            "childDependencies": [
                {
                    "stepId": child.step_id,
                    "childScenarioId": child.child_scenario_id,
                    "childVersionRequested": child.child_version_requested,
                    "childVersionResolved": child.child_version_resolved,
                }
                for child in self.child_dependencies
            ],
            "defaultVariables": dict(self.default_variables),
            "warnings": [warning.to_json() for warning in self.warnings],
        }


@dataclass(frozen=True, slots=True)
class CheckedScenario:
    """A scenario without errors, the agents that it uses (by id as written), the warnings and its children."""

    scenario: Scenario
    agents: Mapping[str, DiscoveredAgent]
    warnings: tuple[Diagnostic, ...]
    children: ResolvedChildren = field(default_factory=ResolvedChildren)

    @property
    def steps(self) -> Iterator[BaseStep]:
        """The steps of the scenario, of the bodies in it and of its children."""
        return closure_steps(self.scenario.execution_graph, self.children)

    @property
    def has_side_effects(self) -> bool:
        """Whether a step calls a capability that may change something outside the workflow."""
        return any(
            self.agents[step.agent_id].definition.capability(step.capability_id).side_effects
            for step in self.steps
            if isinstance(step, AgentStep)
        )

    @property
    def child_dependencies(self) -> tuple[ChildDependency, ...]:
        """What each StartScenario step embeds."""
        return tuple(
            ChildDependency(step.id, step.child_scenario_id, str(step.child_version), child.version)
            for step in self.steps
            if isinstance(step, StartScenarioStep) and (child := self.children.find(step)) is not None
        )


def _be_silent(_: str) -> None:
    """A progress sink for callers that do not ask for one."""


async def compile_scenario(compilation: CompilationInput, *, progress: Progress = _be_silent) -> CompilationResult:
    """Compile a scenario to one executable file; an unchanged one comes from the cache.

    Raises:
        ScenarioError: the scenario has errors; `diagnostics` lists all of them.
        InvalidInputError: an id, the version or the target is not acceptable.
        RuntaraError: the target cannot build, or the data directory cannot be written.
    """
    _check_input(compilation)
    target = load_build_targets().find(compilation.target)
    progress("validating")
    checked = _check(compilation)
    pins = {agent_id: pin_agent(agent) for agent_id, agent in checked.agents.items()}
    module = _generate(checked, compilation, pins)
    requirements = await asyncio.to_thread(pin_requirements, pins.values(), progress)
    manifest = _manifest(checked, compilation, pins, requirements, module)
    data_dir = data_directory(compilation.data_dir)
    entry, from_cache = await _build(target, module, manifest, pins, data_dir, progress)
    build_dir = build_directory(
        data_dir, compilation.tenant_id, compilation.scenario_id, compilation.target, compilation.version
    )
    binary_path = build_dir / entry.artifact.name
    await asyncio.to_thread(put_in_place, entry.artifact, entry.source, build_dir, compilation.output)
    return CompilationResult(
        binary_path=binary_path,
        binary_size=entry.size,
        binary_checksum=entry.sha256,
        build_dir=build_dir,
        cached_path=entry.artifact,
        cached_source_path=entry.source,
        has_side_effects=checked.has_side_effects,
        child_dependencies=checked.child_dependencies,
        default_variables=_default_variables(checked.scenario),
        warnings=checked.warnings,
        from_cache=from_cache,
    )


def generate_source(compilation: CompilationInput) -> str:
    """The source of the module that `compile_scenario` would build; raises as it does."""
    _check_input(compilation)
    checked = _check(compilation)
    pins = {agent_id: pin_agent(agent) for agent_id, agent in checked.agents.items()}
    return _generate(checked, compilation, pins).source


def check_scenario(
    document: Scenario | Mapping[str, Any] | str | bytes,
    *,
    origin: str,
    installed: DiscoveredAgents | None = None,
    child_scenarios: Sequence[ChildSource] = (),
    key: ChildKey = ("", 0),
) -> CheckedScenario:
    """Load and validate a scenario with its children against the installed agents.

    Args:
        document: the scenario.
        origin: where it came from, for messages.
        installed: the agents; those that are installed when left out.
        child_scenarios: the scenarios that it embeds.
        key: its own id and version, so that a child which embeds it again is seen.

    Raises `ScenarioError` with all errors.
    """
    if not isinstance(document, Scenario):
        source = document if isinstance(document, str | bytes) else dict(document)
        document = load_scenario(source, origin=origin)
    installed = installed or discover_agents()
    closure = resolve_children(document, child_scenarios, root_key=key)
    metadata = {agent_id: agent.definition.metadata() for agent_id, agent in installed.agents.items()}
    report = validate(document, metadata, closure)
    report.raise_for_errors(origin)
    used: dict[str, DiscoveredAgent] = {}
    for step in closure_steps(document.execution_graph, closure.children):
        if isinstance(step, AgentStep) and (agent := installed.find(step.agent_id)) is not None:
            used[step.agent_id] = agent
    return CheckedScenario(document, dict(sorted(used.items())), report.warnings, closure.children)


def _check(compilation: CompilationInput) -> CheckedScenario:
    return check_scenario(
        compilation.execution_graph,
        origin=compilation.origin,
        child_scenarios=compilation.child_scenarios,
        key=(compilation.scenario_id, compilation.version),
    )


def _check_input(compilation: CompilationInput) -> None:
    for what, value in (("tenant id", compilation.tenant_id), ("scenario id", compilation.scenario_id)):
        if not _ID.fullmatch(value):
            raise InvalidInputError(
                f"{what} {value[:60]!r} is not acceptable: use letters, digits, '.', '_' and '-', "
                "at most 128, with a letter, digit or '_' first"
            )
    if not 0 <= compilation.version <= _LARGEST_VERSION:
        raise InvalidInputError(f"version {compilation.version} must lie between 0 and {_LARGEST_VERSION}")


def _generate(checked: CheckedScenario, compilation: CompilationInput, pins: Mapping[str, AgentPin]) -> GeneratedModule:
    identity = ModuleIdentity(
        scenario_id=compilation.scenario_id,
        version=compilation.version,
        compiler_version=compiler_version(),
        debug=compilation.debug_mode or checked.scenario.debug_mode,
        durable=checked.scenario.durable,
        connection_service_url=compilation.connection_service_url,
    )
    return generate_module(checked.scenario.execution_graph, identity, pins, checked.children)


def _manifest(
    checked: CheckedScenario,
    compilation: CompilationInput,
    pins: Mapping[str, AgentPin],
    requirements: Sequence[DistributionPin],
    module: GeneratedModule,
) -> dict[str, Any]:
    scenario = checked.scenario
    return build_manifest(
        scenario={
            "id": compilation.scenario_id,
            "name": scenario.name,
            "version": compilation.version,
            "debug": compilation.debug_mode or scenario.debug_mode,
            "sha256": _document_digest(scenario),
            "children": [
                {"id": child.id, "version": child.version, "sha256": _document_digest(child.graph)}
                for _, child in sorted(checked.children.scenarios.items())
            ],
        },
        target=compilation.target,
        module_name=module.name,
        module_source=module.source,
        agents=_distinct(pins),
        requirements=requirements,
        has_side_effects=checked.has_side_effects,
        input_schema=_input_schema(scenario),
    )


def _input_schema(scenario: Scenario) -> dict[str, Any] | None:
    """What a run's data must fit; None for one so long that a manifest has no room for it, which programs check."""
    document = schema_json(scenario.execution_graph.input_schema)
    return document if len(dump_json(document)) <= _LONGEST_INPUT_SCHEMA else None


def _distinct(pins: Mapping[str, AgentPin]) -> tuple[AgentPin, ...]:
    """Each agent once, though steps may write its id in different cases."""
    return tuple({pin.agent_id: pin for pin in pins.values()}.values())


async def _build(
    target: BuildTarget,
    module: GeneratedModule,
    manifest: dict[str, Any],
    pins: Mapping[str, AgentPin],
    data_dir: Path,
    progress: Progress,
) -> tuple[CacheEntry, bool]:
    key = _canonical_digest([manifest, module.source, await asyncio.to_thread(target.fingerprint)])
    cache = ArtifactCache(data_dir)
    if (entry := await cache.find(key)) is not None:
        progress("unchanged, taken from the cache")
        return entry, True

    async def build(work_dir: Path) -> Path:
        request = BuildRequest(module.source, module.name, manifest, _distinct(pins), work_dir, progress, data_dir)
        return await target.build(request)

    return await cache.build(key, module.source, build)


def _document_digest(document: LanguageModel) -> str:
    return _canonical_digest(document.model_dump(by_alias=True, exclude_unset=True))


def _default_variables(scenario: Scenario) -> dict[str, Any]:
    return {name: variable.value for name, variable in scenario.execution_graph.variables.items()}


def _canonical_digest(value: Any) -> str:
    text = dump_json(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
