"""The scenarios that a scenario embeds, loaded and found for every step that starts one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runtara_compiler.language import Diagnostic, ExecutionGraph, Scenario, ScenarioError, StartScenarioStep
from runtara_compiler.language.children import ChildKey, ResolvedChild, ResolvedChildren
from runtara_compiler.language.diagnostics import diagnostic
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.language.steps import BaseStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.language.walk import all_steps

_MOVING_VERSIONS = ("latest", "current")


@dataclass(frozen=True, slots=True)
class ChildSource:
    """One version of a child scenario, as the caller gives it.

    Attributes:
        scenario_id: id under which steps start it.
        execution_graph: the document or the bare graph: JSON text, parsed JSON, or loaded already.
        version: its version; None stands for whatever version a step asks for.
        requested: further versions that stand for this one, such as `current`; `latest` is the highest that is given.
        origin: where the document came from, for messages.
    """

    scenario_id: str
    execution_graph: Scenario | Mapping[str, Any] | str | bytes
    version: int | None = None
    requested: tuple[str, ...] = ()
    origin: str = "child scenario"


@dataclass(frozen=True, slots=True)
class Closure:
    """The embedded scenarios, and what is wrong with the set of them."""

    children: ResolvedChildren
    diagnostics: tuple[Diagnostic, ...]


def resolve_children(root: Scenario, sources: Sequence[ChildSource], *, root_key: ChildKey) -> Closure:
    """Find the child of every StartScenario step of the root and of its children, at any depth.

    Args:
        root: the scenario that embeds.
        sources: the children that the caller has; those that nothing starts are left out.
        root_key: id and version of the root, so that a child which starts the root again is seen.
    """
    return _Resolution(sources).resolve(root.execution_graph, root_key)


class _Resolution:
    def __init__(self, sources: Sequence[ChildSource]) -> None:
        self._sources: dict[str, list[ChildSource]] = {}
        for source in sources:
            self._sources.setdefault(source.scenario_id, []).append(source)
        self._scenarios: dict[ChildKey, ResolvedChild] = {}
        self._requested: dict[tuple[str, str], int] = {}
        self._found: list[Diagnostic] = []

    def resolve(self, graph: ExecutionGraph, root_key: ChildKey) -> Closure:
        self._visit(graph, (root_key,))
        started = {name for name, _ in self._requested}
        for name in self._sources:
            if name not in started:
                suggestion = did_you_mean(name, {step.child_scenario_id for step in _starting(graph)})
                self._found.append(diagnostic("W124", f"no step starts the child scenario {quoted(name)}{suggestion}"))
        return Closure(ResolvedChildren(self._scenarios, self._requested), tuple(self._found))

    def _visit(self, graph: ExecutionGraph, path: tuple[ChildKey, ...]) -> None:
        for step in all_steps(graph):
            if isinstance(step, StartScenarioStep) and (key := self._key(step)) is not None:
                self._enter(step, key, path)

    def _enter(self, step: StartScenarioStep, key: ChildKey, path: tuple[ChildKey, ...]) -> None:
        if key in path:
            loop = " -> ".join(f"{name} (version {version})" for name, version in (*path[path.index(key) :], key))
            self._report("E056", step, f"the scenarios embed each other without end: {loop}")
            return
        if key in self._scenarios or not self._load(step, key):
            return
        self._visit(self._scenarios[key].graph, (*path, key))

    def _key(self, step: StartScenarioStep) -> ChildKey | None:
        name, wanted = step.child_scenario_id, str(step.child_version)
        if not is_child_version(wanted):
            return None  # E050 is reported by the rules of the step
        source = self._source(step, wanted)
        if source is None:
            return None
        version = source.version
        if version is None:
            version = 1 if wanted in _MOVING_VERSIONS else int(wanted)
        self._requested[name, wanted] = version
        return name, version

    def _source(self, step: StartScenarioStep, wanted: str) -> ChildSource | None:
        given = self._sources.get(step.child_scenario_id, [])
        if not given:
            known = f"{did_you_mean(step.child_scenario_id, self._sources)} (given: {listing(self._sources)})"
            text = f"the child scenario {quoted(step.child_scenario_id)} was not given{known}"
            self._report("E124", step, text)
            return None
        for source in given:
            if wanted in source.requested or (source.version is not None and str(source.version) == wanted):
                return source
        anything = next((source for source in given if source.version is None), None)
        if anything is not None:
            return anything
        if wanted in _MOVING_VERSIONS:
            return max(given, key=lambda source: source.version or 0)
        versions = ", ".join(str(source.version) for source in given)
        text = f"version {wanted} of the child scenario {quoted(step.child_scenario_id)} was not given"
        self._report("E124", step, f"{text} (given: {versions})")
        return None

    def _load(self, step: StartScenarioStep, key: ChildKey) -> bool:
        source = self._source(step, str(step.child_version))
        if source is None:
            return False
        document = source.execution_graph
        try:
            if not isinstance(document, Scenario):
                raw = document if isinstance(document, str | bytes) else dict(document)
                document = load_scenario(raw, origin=source.origin)
        except ScenarioError as error:
            self._found += [_of_child(key, item) for item in error.diagnostics]
            return False
        self._found += [_of_child(key, item) for item in document.load_warnings]
        self._scenarios[key] = ResolvedChild(*key, document.execution_graph)
        return True

    def _report(self, code: str, step: StartScenarioStep, text: str) -> None:
        self._found.append(diagnostic(code, f"step {quoted(step.id)}: {text}", step_id=step.id))


def _starting(graph: ExecutionGraph) -> Iterator[StartScenarioStep]:
    return (step for step in all_steps(graph) if isinstance(step, StartScenarioStep))


def closure_steps(graph: ExecutionGraph, children: ResolvedChildren) -> Iterator[BaseStep]:
    """The steps of a graph, of the bodies in it, and of the scenarios that it embeds."""
    yield from all_steps(graph)
    for child in children.scenarios.values():
        yield from all_steps(child.graph)


def findings_of_child(child: ResolvedChild, found: Iterator[Diagnostic]) -> Iterator[Diagnostic]:
    """Findings about the graph of a child, saying so."""
    return (_of_child(child.key, item) for item in found)


def _of_child(key: ChildKey, found: Diagnostic) -> Diagnostic:
    return replace(found, message=f"child scenario {quoted(key[0])} (version {key[1]}): {found.message}")


def is_child_version(version: str | int) -> bool:
    """Whether a step may ask for this version: `latest`, `current`, or a number from 1 on, as number or text."""
    text = str(version)
    return text in _MOVING_VERSIONS or (text.isascii() and text.isdigit() and 1 <= int(text[:10]) < 2**32)
