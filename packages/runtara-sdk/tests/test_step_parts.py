"""Parts of a step, its waits, its files, its secrets and the size of its result, in whole runs with deaths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field
from runtara_sdk.agents import (
    AgentDefinition,
    AgentError,
    CapabilityContext,
    EffectClass,
    LargeResults,
    RawConnection,
    capability,
)
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.memory_store import KillPoint
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow
from runtara_sdk.workflow import AgentStep, FinishStep, Run, Workflow, reference

_SECRET = "s3cret-token-of-the-shop"


class Inputs(BaseModel):
    connection: RawConnection | None = Field(default=None, alias="_connection")


def workflow(function: Any, **fields: Any) -> Workflow:
    agent = AgentDefinition(id="tester", capabilities=[function])
    step = AgentStep(id="s", agent=agent, agent_id="tester", capability_id="do", then=("end",), **fields)
    end = FinishStep(id="end", result={"outputs": reference("steps.s.outputs")})

    async def graph(run: Run) -> Any:
        await run.do(step)
        return await run.finish(end)

    return Workflow(id="w", version=1, graph=graph, agents=(agent,))


async def outcome_of(function: Any, trial: Trial | None = None, **fields: Any) -> TrialOutcome:
    return await try_workflow(workflow(function, **fields), trial or Trial())


async def with_every_death(make: Callable[[], Any], check: Callable[[TrialOutcome], None], **fields: Any) -> None:
    undisturbed = await outcome_of(make(), **fields)
    check(undisturbed)
    for call in range(1, undisturbed.store_calls + 1):
        for after in (False, True):
            check(await outcome_of(make(), Trial(kill=KillPoint(call, after)), **fields))


class Pages:
    """A capability of three pages with a wait between them, and how often each was read."""

    def __init__(self, wait_ms: int = 0, effect: EffectClass = EffectClass.IDEMPOTENT) -> None:
        self.read: list[int] = []
        self.deadlines: set[int] = set()

        @capability(id="do", description="Reads pages.", side_effects=True, effect=effect, deterministic=False)
        async def do(inputs: Inputs, context: CapabilityContext) -> Any:
            self.deadlines.add(await context.durable.deadline_ms("deadline", 3_600_000))
            items: list[int] = []
            for page in range(1, 4):

                async def fetch(page: int = page) -> list[int]:
                    self.read.append(page)
                    return [page, page * 10]

                items += await context.durable.checkpoint(f"page-{page}", fetch)
                if wait_ms:
                    await context.durable.sleep(f"wait-{page}", wait_ms)
            return items

        self.function = do


@pytest.mark.parametrize("wait_ms", [0, 200, 90_000])
async def test_parts_that_were_recorded_are_not_done_again(wait_ms: int) -> None:
    made: list[Pages] = []

    def make() -> Any:
        made.append(Pages(wait_ms))
        return made[-1].function

    def check(outcome: TrialOutcome) -> None:
        assert (outcome.status, outcome.output) == (InstanceStatus.COMPLETED, [1, 10, 2, 20, 3, 30])
        pages = made[-1]
        assert len(pages.read) <= 4, "only what a death left without record is read again"
        assert len(pages.deadlines) <= 2, "the deadline is fixed once it is recorded"

    await with_every_death(make, check)


async def test_long_waits_end_the_process_and_take_their_time() -> None:
    outcome = await outcome_of(Pages(90_000).function)
    assert outcome.launches == 4
    assert outcome.passed_ms >= 270_000


async def test_at_most_once_waits_in_its_process() -> None:
    pages = Pages(90_000, EffectClass.AT_MOST_ONCE)
    outcome = await outcome_of(pages.function)
    assert (outcome.status, outcome.launches, pages.read) == (InstanceStatus.COMPLETED, 1, [1, 2, 3])


async def test_a_step_without_records_has_parts_without_records() -> None:
    pages = Pages(90_000)
    outcome = await outcome_of(pages.function, durable=False)
    assert (outcome.status, outcome.launches) == (InstanceStatus.COMPLETED, 1)


async def test_a_retry_finds_the_parts_of_the_attempt_before() -> None:
    calls: list[str] = []

    @capability(id="do", description="Fails once.", side_effects=True, effect=EffectClass.KEYED)
    async def do(inputs: Inputs, context: CapabilityContext) -> Any:
        async def first() -> str:
            calls.append("first")
            return "a"

        part = await context.durable.checkpoint("first", first)
        calls.append("second")
        if calls.count("second") == 1:
            raise AgentError.transient("BUSY", "later", retry_after_ms=120_000)
        return part

    outcome = await outcome_of(do)
    assert (outcome.output, calls) == ("a", ["first", "second", "second"])
    assert outcome.passed_ms >= 120_000


async def test_the_name_of_a_part_is_checked() -> None:
    @capability(id="do", description="Misnames a part.")
    async def do(inputs: Inputs, context: CapabilityContext) -> Any:
        await context.durable.sleep("a::b", 1)

    outcome = await outcome_of(do)
    assert outcome.error is not None
    assert "part 'a::b'" in outcome.error["message"]


# Files


async def test_files_are_there_in_the_next_launch() -> None:
    def make() -> Any:
        @capability(id="do", description="Writes, waits, reads.", side_effects=True, idempotent=True)
        async def do(inputs: Inputs, context: CapabilityContext) -> Any:
            workspace = context.require_workspace()

            async def write() -> Any:
                with workspace.create("kept") as file:
                    file.write(b"kept")
                    return file.commit().reference()

            written = await context.durable.checkpoint("written", write)
            await context.durable.sleep("night", 8 * 3_600_000)
            with workspace.open(written["$file"]) as stream:
                return stream.read().decode()

        return do

    def check(outcome: TrialOutcome) -> None:
        assert (outcome.status, outcome.output) == (InstanceStatus.COMPLETED, "kept")

    await with_every_death(make, check)


# Large results


def large(policy: LargeResults) -> Any:
    @capability(id="do", description="Gives much.", large_results=policy)
    async def do(inputs: Inputs) -> Any:
        return ["x" * 1000] * 17_000

    return do


async def test_a_result_that_is_too_large_is_refused() -> None:
    outcome = await outcome_of(large(LargeResults.REFUSE))
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["category"]) == ("RESULT_TOO_LARGE", "permanent")
    assert "RUNTARA_MAX_RESULT_BYTES" in outcome.error["message"]


async def test_a_result_may_go_to_the_workspace_where_it_is_declared() -> None:
    outcome = await outcome_of(large(LargeResults.SPILL))
    assert outcome.output["mimeType"] == "application/json"
    assert outcome.output["size"] > 16 * 1024 * 1024
    assert outcome.output["$file"].startswith("results/")


# Secrets


async def test_secrets_of_a_connection_stay_out_of_errors_and_results() -> None:
    @capability(id="do", description="Echoes.", deterministic=False)
    async def do(inputs: Inputs, context: CapabilityContext) -> Any:
        assert inputs.connection is not None
        token = inputs.connection.parameters["token"]
        context.secrets.add(f"Basic {token[::-1]}")
        if inputs.connection.integration_id == "failing":
            attributes = {"header": f"Bearer {token}"}
            raise AgentError.permanent("REFUSED", f"{token} is Basic {token[::-1]}", attributes=attributes)
        return {"echo": f"Bearer {token}", token: [1, token, f"Basic {token[::-1]}"], "host": "h.example"}

    for kind in ("failing", "working"):
        connections = {"c": {"integration_id": kind, "parameters": {"token": _SECRET, "host": "h.example"}}}
        outcome = await outcome_of(do, Trial(connections=connections), connection_id="c")
        shown = repr((outcome.output, outcome.error, outcome.events))
        assert _SECRET not in shown
        assert _SECRET[::-1] not in shown
        assert "[redacted]" in shown
        assert "REFUSED" in shown or "h.example" in shown
