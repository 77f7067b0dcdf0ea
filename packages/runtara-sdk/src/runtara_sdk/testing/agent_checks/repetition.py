"""Calls that are made again: what is deterministic, idempotent, or known by its idempotency key."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtara_sdk.agents import Capability, EffectClass, Example
from runtara_sdk.agents.workspace import PARTIAL, Workspace
from runtara_sdk.testing.agent_checks.calls import AgentCalls, ProvidedCall
from runtara_sdk.testing.agent_checks.findings import Findings, findings


class AgentRepetitionCases(AgentCalls):
    """What every agent owes a workflow whose process died in the middle of a call."""

    def test_equal_inputs_give_equal_results(self) -> None:
        """A capability that is declared deterministic gives the same result twice."""
        with findings() as found:
            for capability, example, call in self._calls():
                if not capability.deterministic or capability.side_effects:
                    continue
                first, second = (self._attempt(capability.id, call.inputs, example=example) for _ in range(2))
                found.require(
                    bool(first.failure or second.failure) or first.value == second.value,
                    f"{capability.id} is not deterministic: equal inputs gave {_differing(first.value, second.value)}. "
                    "Declare it with @capability(deterministic=False), or remove what differs",
                )

    def test_inputs_are_left_alone(self) -> None:
        """A capability does not change the value it is given."""
        with findings() as found:
            for capability, example, call in self._calls():
                given = copy.deepcopy(dict(call.inputs))
                before = json.dumps(given)

                async def invoke(
                    capability: Capability = capability, example: Example = example, given: Any = given
                ) -> None:
                    with self._surroundings(example) as context:
                        await self.agent.invoke(capability.id, given, context)

                try:
                    self._run(invoke)
                except Exception:  # noqa: BLE001 - told by the checks of examples
                    continue
                found.require(
                    json.dumps(given) == before,
                    f"{capability.id} changed its inputs, which belong to the workflow: work on a copy",
                )

    def test_a_repetition_does_nothing_more(self) -> None:
        """Made again with the same idempotency key, a call finds its work done; a pure one leaves no trace at all.

        This is how a step is run again whose process died before its result was recorded. Capabilities that may not be
        repeated (`at_most_once`) are left out.
        """
        with findings() as found:
            for capability, example, call in self._calls():
                if capability.effect is not EffectClass.AT_MOST_ONCE:
                    self._check_repetition(found, capability, example, call)

    def _check_repetition(self, found: Findings, capability: Capability, example: Example, call: ProvidedCall) -> None:
        with self._surroundings(example) as context:
            workspace = context.require_workspace()
            at_first = _world(workspace, call)
            first = self._attempt(capability.id, call.inputs, context=context)
            if first.failure is not None:
                return  # told by the checks of examples
            once = _world(workspace, call)
            second = self._attempt(capability.id, call.inputs, context=context)
            twice = _world(workspace, call)
        effect = f"{capability.id} is declared {capability.effect.value}"
        if capability.effect is EffectClass.PURE:
            found.require(
                once == at_first,
                f"{effect}, but a call changes {_differing(at_first, once)}: declare @capability(side_effects=True)",
            )
        if second.failure is not None:
            found.add(
                f"{effect}, but the same call made again fails with {second.failure}: recognise work that is done, "
                "by context.idempotency_key for example, or declare it at_most_once"
            )
            return
        found.require(
            twice == once,
            f"{effect}, but the same call made again changes {_differing(once, twice)}: recognise work that is done, "
            "by context.idempotency_key for example, or declare it at_most_once",
        )
        if capability.deterministic:
            found.require(
                second.value == first.value,
                f"{effect}, but the same call made again gives {_differing(first.value, second.value)}: give the first "
                "result again, or declare @capability(deterministic=False)",
            )


def _world(workspace: Workspace, call: ProvidedCall) -> dict[str, Any]:
    """What a call may have changed: files of the workspace, and what the provider of the call tells."""
    return {**_files(workspace.root), "the outside world": json.loads(json.dumps(call.effects()))}


def _files(directory: Path) -> dict[str, str]:
    return {
        f"the file {path.relative_to(directory).as_posix()!r}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and PARTIAL not in path.relative_to(directory).parts
    }


def _differing(before: Any, after: Any) -> str:
    """What is different, in words."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [str(key) for key in {**before, **after} if before.get(key, ...) != after.get(key, ...)]
        return ", ".join(keys)
    return f"{before!r}, then {after!r}"
