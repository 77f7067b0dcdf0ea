"""Every statement and frame of the checkpoint, complete, sleep, wake, start and signal paths, with a death around it.

Core, the environment or the instance is killed before or after one of its points (see `points`), is started again, and
the run must end as if nothing had happened (see `oracles`). CI takes a sample: RUNTARA_CRASH_POINTS (1 unless set)
deaths for each path, role and side, drawn with RUNTARA_CRASH_SEED (1 unless set). Every point there is:

    RUNTARA_CRASH_POINTS=all uv run pytest -s tests/crash/test_every_point.py

prints the figures; RUNTARA_CRASH_REPORT names a file for them, as JSON. RUNTARA_CRASH_SLOTS runs (3 unless set) go on
at a time on each database. A loss is tried again by its name, or a part of it:

    RUNTARA_CRASH_ONLY="shutdown: environment dies before" uv run pytest -s tests/crash/test_every_point.py
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from campaign import Campaign
from chosen_points import ONLY, SEED, SLOTS, TIMEOUT_SECONDS, try_chosen_points
from points import ROLES, SIDES
from scenarios import PATHS


@pytest.mark.timeout(TIMEOUT_SECONDS)
async def test_death_at_every_point(postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    servers = {"sqlite": None, "postgres": postgres_url}
    async with Campaign.prepared(tmp_path, SEED, servers, SLOTS) as campaign:
        await try_chosen_points(campaign, capsys)
    assert not campaign.report.losses
    assert ONLY or set(itertools.product(PATHS, ROLES, SIDES)) <= campaign.report.strata()
