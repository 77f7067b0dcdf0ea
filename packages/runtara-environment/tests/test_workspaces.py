"""Copies of workspaces for forks: a few at a time, in turns, one for each fork, and durable."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from runtara_core.models import Instance
from runtara_environment.launch_table import LaunchTable
from runtara_environment.supervision import workspaces as module
from runtara_environment.supervision.file_copies import copy_directory
from runtara_environment.supervision.run_directory import choose_run_directory
from runtara_environment.supervision.workspaces import WORKSPACE, Workspaces
from runtara_sdk.errors import ServerError

DATABASE = "0123456789abcdef"


@dataclass
class Named:
    """What a copy asks of an instance."""

    tenant_id: str
    instance_id: str


def instance(tenant_id: str, instance_id: str) -> Instance:
    return cast("Instance", Named(tenant_id, instance_id))


class Launches:
    """Knows the database, and nothing else."""

    async def database_id(self) -> str:
        """Its name."""
        return DATABASE


class Place:
    """A data directory with origins of two tenants; copies for tenant `slow` wait for `answers`, or for their end."""

    def __init__(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data_dir = data_dir
        self.answers = threading.Event()
        self.begun: Counter[str] = Counter()
        self.begins = threading.Semaphore(0)
        for tenant in ("slow", "quick"):
            workspace = choose_run_directory(data_dir, tenant, "origin", DATABASE) / WORKSPACE
            workspace.mkdir()
            (workspace / "order.txt").write_text("kept")
        monkeypatch.setattr(module, "copy_directory", self._copy)

    def workspaces(self, *, wait_seconds: float = 60.0) -> Workspaces:
        return Workspaces(self.data_dir, cast("LaunchTable", Launches()), wait_seconds=wait_seconds)

    def fork(self, workspaces: Workspaces, tenant: str, fork_id: str) -> asyncio.Task[None]:
        return asyncio.create_task(workspaces.copy(instance(tenant, "origin"), instance(tenant, fork_id)))

    def text(self, tenant: str, fork_id: str) -> str:
        return (self.data_dir / tenant / "runs" / fork_id / WORKSPACE / "order.txt").read_text()

    def _copy(self, source: Path, target: Path, *, ends: threading.Event, **others: Any) -> None:
        tenant = target.parents[2].name
        self.begun[tenant] += 1
        self.begins.release()
        while tenant == "slow" and not self.answers.wait(0.01) and not ends.is_set():
            continue
        copy_directory(source, target, ends=ends, **others)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


async def test_many_forks_of_one_tenant_do_not_hold_up_those_of_another(place: Place) -> None:
    workspaces = place.workspaces()
    slow = [place.fork(workspaces, "slow", f"slow-{number}") for number in range(12)]
    await asyncio.to_thread(place.begins.acquire)
    async with asyncio.timeout(60):
        for number in range(3):
            await place.fork(workspaces, "quick", f"quick-{number}")
            assert place.text("quick", f"quick-{number}") == "kept"
        assert place.begun["slow"] == 1
        assert await asyncio.to_thread(max, 1, 2) == 2
        place.answers.set()
        await asyncio.gather(*slow)
    assert place.text("slow", "slow-11") == "kept"


async def test_a_fork_that_gets_no_turn_is_refused_and_may_be_made_again(place: Place) -> None:
    workspaces = place.workspaces(wait_seconds=0.01)
    first = place.fork(workspaces, "slow", "first")
    await asyncio.to_thread(place.begins.acquire)
    with pytest.raises(ServerError, match="too many other forks are; its fork second waits for them") as refused:
        await place.fork(workspaces, "slow", "second")
    assert (refused.value.code, refused.value.retryable) == ("TOO_MANY_FORKS", True)
    place.answers.set()
    await first
    await place.fork(workspaces, "slow", "second")
    assert place.text("slow", "second") == "kept"


async def test_who_asks_for_a_fork_again_waits_for_the_copy_that_is_under_way(place: Place) -> None:
    workspaces = place.workspaces()
    leaving = place.fork(workspaces, "slow", "fork")
    await asyncio.to_thread(place.begins.acquire)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    again = place.fork(workspaces, "slow", "fork")
    await asyncio.sleep(0)
    place.answers.set()
    await again
    assert place.begun["slow"] == 1
    assert place.text("slow", "fork") == "kept"


async def test_an_environment_that_ends_ends_its_copies_and_leaves_nothing(place: Place) -> None:
    workspaces = place.workspaces()
    forks = [place.fork(workspaces, "slow", f"fork-{number}") for number in range(3)]
    await asyncio.to_thread(place.begins.acquire)
    await workspaces.close()
    outcomes = await asyncio.gather(*forks, return_exceptions=True)
    assert all(isinstance(outcome, ServerError) and outcome.retryable for outcome in outcomes), outcomes
    assert "the copy was ended" in str(outcomes[0])
    left = {path.name for path in place.data_dir.glob("slow/runs/fork-*/*")}
    assert left == {"database-id", "instance-id"}
    # The next environment makes them.
    place.answers.set()
    await place.fork(place.workspaces(), "slow", "fork-0")
    assert place.text("slow", "fork-0") == "kept"
