"""Agents inside a native binary: built once, called with their examples, compared with what they give in Python.

All examples are steps of one scenario, so one build is enough for all agents of a distribution. The base runtime is
that of every other native build on the machine, and comes from the library of base runtimes when it is there. Examples
without files are called by one start of the binary; each of the others has a workspace, and so a start, of its own.
What goes wrong beside other examples is tried once more alone before it is told.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from runtara_sdk.agents import Capability, Example
from runtara_sdk.agents.workspace import DIRECTORY_VARIABLE, Workspace
from runtara_sdk.errors import RuntaraError
from runtara_sdk.plugins import load_one
from runtara_sdk.services import CompilerService
from runtara_sdk.testing.agent_checks.calls import AgentCalls
from runtara_sdk.testing.agent_checks.findings import Findings, ProblemsFoundError

TARGET = "native"

_RUN_SECONDS = 120.0
_LAYERS_VARIABLE = "RUNTARA_NATIVE_CACHE_DIR"
_SCENARIO_NAME = "agents-native-check"

Progress = Callable[[str], None]


class AgentNativeSuite(AgentCalls):
    """The agent works inside a native binary. Subclass it, and set `agent`, as with the conformance suite.

    The test is skipped, with the reason, where `runtara-compiler` or a C compiler is missing; with CI=true it fails.
    What is built once is kept in the data directory, where `runtara run --native` keeps it, too.

    Attributes:
        data_dir: the data directory; that of DATA_DIR, else `.data`, when left out.
    """

    data_dir: ClassVar[Path | None] = None

    def test_native_build_gives_the_same_results(self) -> None:
        """The agent can be built, imported and called in a native binary, and gives there what it gives in Python."""
        if (missing := missing_for_native_builds()) is not None:
            reason = f"native builds are not possible here: {missing}"
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                raise AssertionError(reason)
            raise unittest.SkipTest(reason)
        problems = native_problems([self], data_dir=self.data_dir)[self.agent.id]
        if problems:
            raise ProblemsFoundError(problems)


def missing_for_native_builds() -> str | None:
    """What this machine lacks to build native binaries, with the remedy; None when nothing is missing."""
    try:
        return _compiler().missing(TARGET)
    except RuntaraError as error:
        return error.message


def native_problems(
    suites: Sequence[AgentCalls], *, data_dir: Path | None = None, progress: Progress = lambda _: None
) -> dict[str, tuple[str, ...]]:
    """Build the agents of the suites into one native binary, call their examples, and compare.

    Args:
        suites: one for each agent.
        data_dir: keeps what is built; DATA_DIR, else `.data`, when left out.
        progress: takes a line for each stage of the build.

    Returns: problems by agent id, in sentences.
    """
    found = {suite.agent.id: Findings() for suite in suites}
    calls = list(_native_calls(suites))
    with tempfile.TemporaryDirectory(prefix="runtara-native-check-", ignore_cleanup_errors=True) as temporary:
        directory = Path(temporary)
        try:
            artifact = asyncio.run(_build(calls, directory, data_dir, progress))
        except RuntaraError as error:
            for findings in found.values():
                findings.add(f"no native binary can be built with the agent: {error.message}")
        else:
            progress("calling the examples")
            for group in _groups(calls):
                _compare(group, artifact, directory, found)
    return {agent_id: findings.texts() for agent_id, findings in found.items()}


@dataclass(frozen=True)
class _NativeCall:
    """An example as a step of the scenario; one that `needs` something is built but not called."""

    number: int
    suite: AgentCalls
    capability: Capability
    example: Example

    @property
    def name(self) -> str:
        return f"example_{self.number}"

    @property
    def place(self) -> str:
        return f"{self.capability.id} in a native binary"

    def problem(self, native: Any, error: str | None) -> str | None:
        """What is different from Python, if anything is."""
        expected = self.suite._attempt(self.capability.id, self.example.inputs, example=self.example)  # noqa: SLF001
        if expected.failure is not None:
            return None  # told by the checks of examples
        if error is not None:
            return (
                f"{self.place}: its example fails with {error}, but gives a result in Python: name what it imports by "
                "import statements, and read data files with importlib.resources"
            )
        value = json.loads(json.dumps(expected.value))
        if native == value or not self.capability.deterministic:
            return None
        return f"{self.place}: its example gives {native!r}, but {value!r} in Python: do not depend on how it is run"


def _native_calls(suites: Sequence[AgentCalls]) -> Iterator[_NativeCall]:
    number = 0
    for suite in suites:
        for capability in suite.agent.capabilities:
            for example in capability.examples:
                number += 1
                yield _NativeCall(number, suite, capability, example)


def _groups(calls: Sequence[_NativeCall]) -> Iterator[list[_NativeCall]]:
    """The calls by starts of the binary; the first start is made in any case, since it imports all agents."""
    callable_here = [call for call in calls if not call.example.needs]
    yield [call for call in callable_here if not call.example.files]
    yield from ([call] for call in callable_here if call.example.files)


async def _build(calls: Sequence[_NativeCall], directory: Path, data_dir: Path | None, progress: Progress) -> Path:
    file = directory / f"{_SCENARIO_NAME}.json"
    file.write_text(json.dumps(_scenario(calls)), encoding="utf-8")
    compiled = await _compiler().compile_file(
        file,
        tenant_id="conformance",
        target=TARGET,
        data_dir=(data_dir or Path(os.environ.get("DATA_DIR") or ".data")).absolute(),
        progress=progress,
    )
    return compiled.artifact_path


def _compiler() -> CompilerService:
    compiler: CompilerService = load_one(
        "runtara.services", "compiler", package="runtara-compiler", needed_by="a native build"
    )()
    return compiler


def _scenario(calls: Sequence[_NativeCall]) -> dict[str, Any]:
    """Takes `{"numbers": [...]}`, calls those examples, and gives results with their numbers, and failures."""
    cases = [{"matchType": "EQ", "match": call.number, "output": call.number, "route": call.name} for call in calls]
    steps: dict[str, Any] = {
        "which": {"stepType": "Switch", "config": {"value": _reference("data"), "cases": cases, "default": 0}},
        "none": {"stepType": "Finish", "inputMapping": {"number": _reference("data")}},
    }
    plan = [{"fromStep": "which", "toStep": "none", "label": "default"}]
    for call in calls:
        steps[call.name] = {
            "stepType": "Agent",
            "agentId": call.suite.agent.id,
            "capabilityId": call.capability.id,
            "maxRetries": 0,
            "inputMapping": {
                name: {"valueType": "immediate", "value": value} for name, value in call.example.inputs.items()
            },
        }
        result = {"number": _reference("data"), "value": _reference(f"steps.{call.name}.outputs")}
        steps[f"result_{call.number}"] = {"stepType": "Finish", "inputMapping": result}
        plan.append({"fromStep": "which", "toStep": call.name, "label": call.name})
        plan.append({"fromStep": call.name, "toStep": f"result_{call.number}"})
    each = {
        "stepType": "Split",
        "config": {"value": _reference("data.numbers"), "dontStopOnFailed": True},
        "subgraph": {"entryPoint": "which", "steps": steps, "executionPlan": plan},
    }
    found = {"results": _reference("steps.each.outputs"), "failures": _reference("steps.each.data")}
    return {
        "name": "Native check of agents",
        "entryPoint": "each",
        "steps": {"each": each, "end": {"stepType": "Finish", "inputMapping": found}},
        "executionPlan": [{"fromStep": "each", "toStep": "end"}],
    }


def _reference(path: str) -> dict[str, str]:
    return {"valueType": "reference", "value": path}


def _compare(calls: Sequence[_NativeCall], artifact: Path, directory: Path, found: Mapping[str, Findings]) -> None:
    output = _run(calls, artifact, directory)
    if isinstance(output, str):
        agents = {call.suite.agent.id for call in calls} or found.keys()
        for agent_id in agents:
            found[agent_id].add(f"the native binary does not run: {output}")
        return
    results = {result["number"]: result.get("value") for result in output["results"]}
    errors = {calls[each["index"]].number: each["error"] for each in output["failures"]["error"]}
    for call in calls:
        error = errors.get(call.number)
        text = None if error is None else f"[{error.get('code')}] {error.get('message')}"
        problem = call.problem(results.get(call.number), text)
        if problem is not None and len(calls) > 1:
            _compare([call], artifact, directory, found)  # another example may have left files in its way
        elif problem is not None:
            found[call.suite.agent.id].add(problem)


def _run(calls: Sequence[_NativeCall], artifact: Path, directory: Path) -> dict[str, Any] | str:
    """The output of one start of the binary, or why there is none."""
    started = Path(tempfile.mkdtemp(prefix="start-", dir=directory))
    workspace = Workspace(started / "workspace")
    for name, text in (calls[0].example.files if calls else {}).items():
        with workspace.create(name) as file:
            file.write(text.encode())
            file.commit()
    numbers = started / "numbers.json"
    numbers.write_text(json.dumps({"numbers": [call.number for call in calls]}), encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RUNTARA_")}
    layers = os.environ.get(_LAYERS_VARIABLE) or str(directory / "layers")
    try:
        completed = subprocess.run(
            [str(artifact), "--input", f"@{numbers}", "--server", f"sqlite:///{started / 'run.db'}"],
            env={**inherited, DIRECTORY_VARIABLE: str(workspace.root), _LAYERS_VARIABLE: layers},
            cwd=started,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it does not end within {_RUN_SECONDS:.0f} s"
    if completed.returncode != 0:
        return f"exit code {completed.returncode}: {completed.stderr.strip()[-500:]}"
    output: dict[str, Any] = json.loads(completed.stdout)
    return output
