"""Which points of a campaign are tried, as the variables of the environment say; see `test_every_point.py`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from campaign import Campaign, Report, timed

SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))
POINTS = os.environ.get("RUNTARA_CRASH_POINTS", "1")
SLOTS = int(os.environ.get("RUNTARA_CRASH_SLOTS", "3"))
ONLY = os.environ.get("RUNTARA_CRASH_ONLY")
REPORT = os.environ.get("RUNTARA_CRASH_REPORT")
TIMEOUT_SECONDS = 4 * 3600 if POINTS == "all" or ONLY else 900 * int(POINTS)


async def try_chosen_points(campaign: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    """Try a sample, or what the variables say, and tell what came out."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)
        _write(campaign.report)

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
    _write(report)
    for result in report.losses:
        print(f"\n{result.target}\n{result.losses}\n{result.transcript}")


def _write(report: Report) -> None:
    """The figures so far, if somebody wants them."""
    if REPORT:
        Path(REPORT).write_text(json.dumps(report.figures(), indent=2) + "\n")
