"""Many instances at once while processes die one after another, also in the middle of recovering from a death.

RUNTARA_CRASH_ROUNDS deaths (6 unless set) around RUNTARA_CRASH_INSTANCES instances (8 unless set) on each database,
drawn with RUNTARA_CRASH_SEED (1 unless set); the seed decides what the instances do, the victims and the moments, the
machine's timing does the rest. A storm of minutes:

    RUNTARA_CRASH_ROUNDS=100 RUNTARA_CRASH_INSTANCES=24 uv run pytest -s tests/crash/test_storm.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from crash_platform import Platform
from runtara_core.testing.postgres import PostgresServer
from storm import Storm

from tests.containers import choose_runtime

ROUNDS = int(os.environ.get("RUNTARA_CRASH_ROUNDS", "6"))
INSTANCES = int(os.environ.get("RUNTARA_CRASH_INSTANCES", "8"))
SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))


@pytest.mark.timeout(600 + 60 * ROUNDS + 30 * INSTANCES)
async def test_storm(storm_platform: Platform, own_server: PostgresServer | None, tmp_path: Path) -> None:
    await let_it_storm(Storm(storm_platform, tmp_path, SEED, INSTANCES, own_server), storm_platform, ROUNDS)


@pytest.fixture
def container_runtime(monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes containers."""
    return choose_runtime(monkeypatch)


@pytest.mark.timeout(600 + 60 * ROUNDS + 30 * INSTANCES)
async def test_storm_over_containers(own_platform: Platform, tmp_path: Path, container_runtime: str) -> None:
    """A smaller one on SQLite: runtime, process 1 and program of a container die as well, and nothing is left of it."""
    own_platform.use_containers(container_runtime)
    storm = Storm(own_platform, tmp_path, SEED, max(1, INSTANCES // 4), None)
    await let_it_storm(storm, own_platform, max(1, ROUNDS // 2))
    assert own_platform.left_of_containers() == []


async def let_it_storm(storm: Storm, platform: Platform, rounds: int) -> None:
    began = time.monotonic()
    lost = await storm.run(rounds)
    kills = sum(each.kills for each in storm.instances)
    print(
        f"\nseed {SEED}: {len(storm.instances)} instances, {storm.deaths.total()} deaths {dict(storm.deaths)}, "
        f"{kills} of them of programs; {len(lost)} instances lost, {time.monotonic() - began:.1f} s"
    )
    assert not lost, platform.transcript()
