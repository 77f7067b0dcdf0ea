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
import json
import os
from pathlib import Path

import pytest
from campaign import Campaign, Report, timed
from points import CONTAINER_ROLES, ROLES, SIDES
from scenarios import CONTAINER_PATHS, PATHS

from tests.containers import choose_runtime

SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))
POINTS = os.environ.get("RUNTARA_CRASH_POINTS", "1")
SLOTS = int(os.environ.get("RUNTARA_CRASH_SLOTS", "3"))
ONLY = os.environ.get("RUNTARA_CRASH_ONLY")
REPORT = os.environ.get("RUNTARA_CRASH_REPORT")


@pytest.fixture
def container_runtime(monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes containers."""
    return choose_runtime(monkeypatch)


def write_report(report: Report) -> None:
    """The figures so far, if somebody wants them."""
    if REPORT:
        Path(REPORT).write_text(json.dumps(report.figures(), indent=2) + "\n")


@pytest.mark.timeout(4 * 3600 if POINTS == "all" or ONLY else 900 * int(POINTS))
async def test_death_at_every_point(postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    servers = {"sqlite": None, "postgres": postgres_url}
    async with Campaign.prepared(tmp_path, SEED, servers, SLOTS) as campaign:
        await try_points(campaign, capsys)
    assert not campaign.report.losses
    assert ONLY or set(itertools.product(PATHS, ROLES, SIDES)) <= campaign.report.strata()


@pytest.mark.timeout(4 * 3600 if POINTS == "all" or ONLY else 900 * int(POINTS))
async def test_death_at_every_point_over_containers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], container_runtime: str
) -> None:
    """The environment dies around what it does with containers; shim, runtime, process 1 or pasta die meanwhile."""
    async with Campaign.prepared(tmp_path, SEED, {"sqlite": None}, SLOTS, runtime=container_runtime) as campaign:
        await try_points(campaign, capsys)
    assert not campaign.report.losses
    strata = {*itertools.product(CONTAINER_PATHS, ["environment"], SIDES)}
    strata |= set(itertools.product(CONTAINER_PATHS, CONTAINER_ROLES, SIDES[:1]))
    assert ONLY or strata <= campaign.report.strata()


async def try_points(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    """Try a sample, or what the variables say, and tell what came out."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)
        write_report(campaign.report)

    async with timed(campaign.report):
        targets = await campaign.find_targets()
        if ONLY:
            await campaign.try_all([target for target in targets if ONLY in str(target)], tell)
        elif POINTS == "all":
            await campaign.try_all(targets, tell)
        else:
            await campaign.try_sample(targets, int(POINTS))
    report = campaign.report
    print(f"\n{report.text()}")
    write_report(report)
    for result in report.losses:
        print(f"\n{result.target}\n{result.losses}\n{result.transcript}")
