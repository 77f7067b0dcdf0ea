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
from points import ROLES, SIDES
from scenarios import PATHS

SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))
POINTS = os.environ.get("RUNTARA_CRASH_POINTS", "1")
SLOTS = int(os.environ.get("RUNTARA_CRASH_SLOTS", "3"))
ONLY = os.environ.get("RUNTARA_CRASH_ONLY")
REPORT = os.environ.get("RUNTARA_CRASH_REPORT")


def write_report(report: Report) -> None:
    """The figures so far, if somebody wants them."""
    if REPORT:
        Path(REPORT).write_text(json.dumps(report.figures(), indent=2) + "\n")


@pytest.mark.timeout(4 * 3600 if POINTS == "all" or ONLY else 900 * int(POINTS))
async def test_death_at_every_point(postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tell(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)
        write_report(campaign.report)

    servers = {"sqlite": None, "postgres": postgres_url}
    async with Campaign.prepared(tmp_path, SEED, servers, SLOTS) as campaign, timed(campaign.report):
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
    assert not report.losses
    assert ONLY or set(itertools.product(PATHS, ROLES, SIDES)) <= report.strata()
