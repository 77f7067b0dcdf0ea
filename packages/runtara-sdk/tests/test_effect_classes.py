"""What the run time does with a call whose effect may have happened when the program dies."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext, EffectClass, capability
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.memory_store import KillPoint
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow
from runtara_sdk.workflow import AgentStep, FinishStep, Run, Workflow, immediate


class Nothing(BaseModel):
    """No inputs."""


class Bank:
    """Counts what is done, and by which key; the first `failures` calls are refused."""

    def __init__(self, effect: EffectClass, failures: int = 0) -> None:
        self.keys: list[str | None] = []

        @capability(id="pay", description="Pays.", side_effects=True, effect=effect)
        async def pay(inputs: Nothing, context: CapabilityContext) -> Any:
            self.keys.append(context.idempotency_key)
            if len(self.keys) <= failures:
                raise AgentError.transient("BUSY", "not now")
            return len(self.keys)

        self.agent = AgentDefinition(id="bank", capabilities=[pay])

    def workflow(self, **fields: Any) -> Workflow:
        step = AgentStep(id="pay", agent=self.agent, agent_id="bank", capability_id="pay", then=("end",), **fields)
        end = FinishStep(id="end", result={"outputs": immediate("done")})

        async def graph(run: Run) -> Any:
            await run.do(step)
            return await run.finish(end)

        return Workflow(id="w", version=1, graph=graph, agents=(self.agent,))


async def deaths(effect: EffectClass, failures: int = 0, **fields: Any) -> list[tuple[TrialOutcome, Bank]]:
    """A run with a death at each place of the undisturbed one, each with a bank of its own."""
    undisturbed = await try_workflow(Bank(effect, failures).workflow(**fields), Trial())
    assert undisturbed.status is InstanceStatus.COMPLETED
    found = []
    for call in range(1, undisturbed.store_calls + 1):
        for after in (False, True):
            bank = Bank(effect, failures)
            trial = Trial(kill=KillPoint(call, after))
            found.append((await try_workflow(bank.workflow(**fields), trial), bank))
    return found


@pytest.mark.parametrize("failures", [0, 2])
async def test_at_most_once_is_not_repeated_after_a_death(failures: int) -> None:
    ends = await deaths(EffectClass.AT_MOST_ONCE, failures, retry_delay_ms=10)
    assert all(len(bank.keys) <= failures + 1 for _, bank in ends), "no call is made twice"
    unknown = [outcome.error for outcome, _ in ends if outcome.status is InstanceStatus.FAILED]
    assert unknown, "the deaths in the middle of a call are told"
    assert all(error is not None and error["code"] == "OUTCOME_UNKNOWN" for error in unknown)
    assert all(error is not None and error["category"] == "permanent" for error in unknown)
    assert any(outcome.status is InstanceStatus.COMPLETED for outcome, _ in ends), "the others change nothing"


@pytest.mark.parametrize("effect", [EffectClass.IDEMPOTENT, EffectClass.KEYED])
async def test_the_others_are_repeated_with_the_same_key(effect: EffectClass) -> None:
    ends = await deaths(effect)
    assert all(outcome.status is InstanceStatus.COMPLETED for outcome, _ in ends)
    assert any(len(bank.keys) == 2 for _, bank in ends)
    assert all(len(set(bank.keys)) == 1 and bank.keys[0] for _, bank in ends)


async def test_answers_are_tried_again_within_a_launch() -> None:
    bank = Bank(EffectClass.AT_MOST_ONCE, failures=2)
    outcome = await try_workflow(bank.workflow(retry_delay_ms=10), Trial())
    assert (outcome.status, len(bank.keys)) == (InstanceStatus.COMPLETED, 3)


async def test_a_timeout_is_no_answer() -> None:
    called: list[int] = []

    @capability(id="pay", description="Pays.", side_effects=True, effect=EffectClass.AT_MOST_ONCE)
    async def pay(inputs: Nothing) -> Any:
        called.append(1)
        raise AgentError.transient("TIMEOUT", "the bank was slow")

    bank = Bank(EffectClass.AT_MOST_ONCE)
    bank.agent = AgentDefinition(id="bank", capabilities=[pay])
    outcome = await try_workflow(bank.workflow(retry_delay_ms=10), Trial())
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["category"], called) == ("OUTCOME_UNKNOWN", "permanent", [1])
    assert outcome.error["cause"]["code"] == "TIMEOUT"
