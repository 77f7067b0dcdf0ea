"""The corpus of scenarios with known outcomes, and the workflow of each as the compiler generates it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from runtara_compiler import CompilationInput
from runtara_compiler.closure import ChildSource
from runtara_compiler.trials import Case
from runtara_compiler.trials.cases import parse_cases
from runtara_compiler.trials.running import load_workflow
from runtara_sdk.workflow import Workflow

FOLDER = Path(__file__).parent / "scenarios"
SCENARIO_ID = "main"


@dataclass(frozen=True)
class CorpusScenario:
    """One scenario of the corpus with its children and cases."""

    topic: str
    name: str
    document: Mapping[str, Any]
    children: Mapping[str, Any]
    cases: tuple[Case, ...]

    @property
    def compilation(self) -> CompilationInput:
        return CompilationInput(
            tenant_id="trial",
            scenario_id=SCENARIO_ID,
            version=1,
            execution_graph=json.dumps(self.document),
            child_scenarios=[ChildSource(name, json.dumps(child)) for name, child in self.children.items()],
            origin=f"{self.topic}: {self.name}",
        )

    @property
    def workflow(self) -> Workflow:
        return _workflow(self.topic, self.name)


@lru_cache(maxsize=1)
def corpus() -> tuple[CorpusScenario, ...]:
    return tuple(_read())


def _read() -> Iterator[CorpusScenario]:
    for path in sorted(FOLDER.glob("*.json")):
        for entry in json.loads(path.read_bytes()):
            cases = parse_cases(entry["cases"], f"{path.name}: {entry['name']}").cases
            yield CorpusScenario(path.stem, entry["name"], entry["scenario"], entry.get("children", {}), cases)


@lru_cache(maxsize=1024)
def _workflow(topic: str, name: str) -> Workflow:
    found = next(item for item in corpus() if (item.topic, item.name) == (topic, name))
    return load_workflow(found.compilation)
