"""Capabilities that are really called in a trial."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, CapabilityContext, capability
from runtara_sdk.testing.jumping_clock import JumpingClock
from runtara_sdk.testing.memory_store import MemoryStore
from runtara_sdk.testing.trial_world import TrialSurroundings, TrialWorld
from runtara_sdk.workflow.surroundings import CapabilityCall

THREE_DAYS_MS = 3 * 86_400_000


class Nothing(BaseModel):
    """No inputs."""


@capability(id="be-patient", description="Waits for three days of the clock of its call.")
async def be_patient(inputs: Nothing, context: CapabilityContext) -> int:
    began_ms = context.clock.now_ms()
    await context.clock.sleep(THREE_DAYS_MS / 1000)
    return context.clock.now_ms() - began_ms


async def test_time_passes_for_a_capability_that_waits_by_its_clock() -> None:
    clock = JumpingClock()
    patient = AgentDefinition(id="patient", capabilities=[be_patient])
    world = TrialWorld(MemoryStore(clock), capabilities={}, children={}, connections={})
    surroundings = TrialSurroundings(world, clock)
    call = CapabilityCall(patient, "patient", "be-patient", "step", {}, CapabilityContext(clock=clock))
    async with asyncio.timeout(20):
        assert await surroundings.invoke(call) == THREE_DAYS_MS
    clock.close()
