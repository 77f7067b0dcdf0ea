"""The campaign of `test_every_point.py` over containers, on SQLite, with the same variables.

The environment dies around each statement, frame and step by which it launches, adopts, stops or removes a container.
The shim, the runtime, process 1 or `pasta` die at these points as well. Nothing of a container may be left in the end.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from campaign import Campaign
from chosen_points import ONLY, SEED, SLOTS, TIMEOUT_SECONDS, try_chosen_points
from points import CONTAINER_ROLES, SIDES
from scenarios import CONTAINER_PATHS

from tests.containers import container_runtime as container_runtime


@pytest.mark.timeout(TIMEOUT_SECONDS)
async def test_death_at_every_point(tmp_path: Path, capsys: pytest.CaptureFixture[str], container_runtime: str) -> None:
    async with Campaign.prepared(tmp_path, SEED, {"sqlite": None}, SLOTS, runtime=container_runtime) as campaign:
        await try_chosen_points(campaign, capsys)
    assert not campaign.report.losses
    strata = {*itertools.product(CONTAINER_PATHS, ["environment"], SIDES)}
    strata |= set(itertools.product(CONTAINER_PATHS, CONTAINER_ROLES, SIDES[:1]))
    assert ONLY or strata <= campaign.report.strata()
