"""What a workflow does once its instance, which had failed, is retried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk import InstanceSettings, RuntaraSdk
from runtara_sdk.agents import AgentDefinition, AgentError, EffectClass, capability
from runtara_sdk.models import InstanceStatus
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.workflow import AgentStep, FinishStep, Run, Workflow, immediate
from runtara_sdk.workflow.program import run_instance

NOW_MS = 1_800_000_000_000


class Nothing(BaseModel):
    """No inputs."""


class Death(BaseException):
    """The end of the process."""


class Bank:
    """Refuses, dies in the middle or pays, as `calls` says one after the other."""

    def __init__(self, effect: EffectClass) -> None:
        self.coming: list[str] = []
        self.made = 0

        @capability(id="pay", description="Pays.", side_effects=True, effect=effect)
        async def pay(inputs: Nothing) -> Any:
            self.made += 1
            match self.coming.pop(0):
                case "refuse":
                    raise AgentError.transient("BUSY", "not now")
                case "die":
                    raise Death
            return self.made

        self.agent = AgentDefinition(id="bank", capabilities=[pay])

    def workflow(self, *, handled: bool = False) -> Workflow:
        fields: dict[str, Any] = {"agent": self.agent, "agent_id": "bank", "capability_id": "pay"}
        fields |= {"max_retries": 1, "retry_delay_ms": 1}
        first = AgentStep(id="first", then=("second",), on_error=("second",) if handled else (), **fields)
        second = AgentStep(id="second", then=("end",), **fields)
        end = FinishStep(id="end", result={"outputs": immediate("done")})

        async def graph(run: Run) -> Any:
            await run.do(first)
            if run.reached(second):
                await run.do(second)
            return await run.finish(end)

        return Workflow(id="w", version=1, graph=graph, agents=(self.agent,))


class Retried:
    """An instance on a SQLite file, launched by hand."""

    def __init__(self, url: str, storage: Storage) -> None:
        self._url = url
        self._storage = storage

    async def launch(self, bank: Bank, *coming: str, handled: bool = False) -> tuple[InstanceStatus | None, int]:
        """Run the program with the calls that are coming; its status and how many were made."""
        bank.coming, made = list(coming), bank.made
        sdk = RuntaraSdk(InstanceSettings("i", "t", server_addr=self._url))
        try:
            await run_instance(bank.workflow(handled=handled), sdk, EnvironmentReader({}))
        except Death:
            await sdk.close()
        assert bank.coming == []
        instance = await self._storage.get_instance("i")
        return (None if instance is None else instance.status), bank.made - made

    async def retry(self) -> None:
        await self._storage.retry_instance("i", now_ms=NOW_MS)

    async def error(self) -> str:
        instance = await self._storage.get_instance("i")
        return "" if instance is None else instance.error or ""


@pytest.fixture
async def retried(tmp_path: Path) -> AsyncIterator[Retried]:
    url = f"sqlite:///{tmp_path}/core.db"
    storage = await open_storage(url)
    await storage.open()
    yield Retried(url, storage)
    await storage.close()


@pytest.mark.parametrize("effect", [EffectClass.KEYED, EffectClass.AT_MOST_ONCE])
async def test_the_step_that_failed_has_all_its_attempts_again(retried: Retried, effect: EffectClass) -> None:
    bank = Bank(effect)
    assert await retried.launch(bank, "pay", "refuse", "refuse") == (InstanceStatus.FAILED, 3)
    await retried.retry()
    assert await retried.launch(bank, "refuse", "refuse") == (InstanceStatus.FAILED, 2)
    await retried.retry()
    assert await retried.launch(bank, "refuse", "pay") == (InstanceStatus.COMPLETED, 2)


async def test_a_failure_that_was_handled_stays_handled(retried: Retried) -> None:
    bank = Bank(EffectClass.KEYED)
    calls = ("refuse",) * 4
    assert await retried.launch(bank, *calls, handled=True) == (InstanceStatus.FAILED, 4)
    await retried.retry()
    assert await retried.launch(bank, "pay", handled=True) == (InstanceStatus.COMPLETED, 1)


async def test_a_call_at_most_once_whose_outcome_is_unknown_is_not_made_again(retried: Retried) -> None:
    bank = Bank(EffectClass.AT_MOST_ONCE)
    assert await retried.launch(bank, "pay", "refuse", "refuse") == (InstanceStatus.FAILED, 3)
    await retried.retry()
    assert await retried.launch(bank, "die") == (InstanceStatus.RUNNING, 1)
    assert await retried.launch(bank) == (InstanceStatus.FAILED, 0)
    assert "OUTCOME_UNKNOWN" in await retried.error()
    await retried.retry()
    assert await retried.launch(bank) == (InstanceStatus.FAILED, 0)
