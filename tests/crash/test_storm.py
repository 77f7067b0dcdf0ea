"""Many instances at once while processes die one after another, also in the middle of recovering from a death.

RUNTARA_CRASH_ROUNDS deaths (8 unless set) around RUNTARA_CRASH_INSTANCES instances (8 unless set) on each database,
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

ROUNDS = int(os.environ.get("RUNTARA_CRASH_ROUNDS", "8"))
INSTANCES = int(os.environ.get("RUNTARA_CRASH_INSTANCES", "8"))
SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))


@pytest.mark.timeout(600 + 60 * ROUNDS + 30 * INSTANCES)
async def test_storm(storm_platform: Platform, own_server: PostgresServer | None, tmp_path: Path) -> None:
    began = time.monotonic()
    storm = Storm(storm_platform, tmp_path, SEED, INSTANCES, own_server)
    lost = await storm.run(ROUNDS)
    kills = sum(each.kills for each in storm.instances)
    print(
        f"\nseed {SEED}: {INSTANCES} instances, {storm.deaths.total()} deaths {dict(storm.deaths)}, {kills} of them of "
        f"programs; {len(lost)} instances lost, {time.monotonic() - began:.1f} s"
    )
    assert not lost, storm_platform.transcript()
