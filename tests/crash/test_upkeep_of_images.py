"""A death in the middle of what an environment does to images and copies strands nothing, and leaves nothing half.

RUNTARA_CRASH_POINTS (2 unless set) deaths of each work are drawn with RUNTARA_CRASH_SEED (1 unless set). All of them:

    RUNTARA_CRASH_POINTS=all uv run pytest -s tests/crash/test_upkeep_of_images.py
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

POINTS = os.environ.get("RUNTARA_CRASH_POINTS", "2")
SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))
LATER_MS = 10 * 24 * 3_600_000
"""The clock of a process begins anew; what was prepared lies before it."""


class Doomed:
    """The parent of the processes that die."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("doomed_upkeep.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors.open("w"),
            text=True,
        )

    def work(self, name: str, directory: Path, *, die_at: int = 0, later_ms: int = LATER_MS) -> tuple[int, int]:
        """Exit code and number of steps of one process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"work": name, "directory": str(directory), "die_at": die_at, "later_ms": later_ms}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer["exit"], answer["steps"]

    def told(self) -> str:
        """What the processes have written to standard error."""
        return self._errors.read_text()

    def close(self) -> None:
        """End the parent."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doomed]:
    made = Doomed(tmp_path_factory.mktemp("doomed") / "errors")
    yield made
    made.close()


@pytest.fixture(scope="module")
def prepared(doomed: Doomed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("prepared") / "data"
    directory.mkdir()
    assert doomed.work("prepare", directory, later_ms=0)[0] == 0, doomed.told()
    return directory


@pytest.mark.parametrize("work", ["sweep", "split", "fetch", "copies"])
def test_the_next_process_cleans_up(doomed: Doomed, prepared: Path, tmp_path: Path, work: str) -> None:
    directory = tmp_path / "data"

    def begin() -> None:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(prepared, directory, symlinks=True)

    begin()
    code, steps = doomed.work(work, directory)
    assert code == 0, doomed.told()
    assert doomed.work("recover", directory)[0] == 0, doomed.told()
    every = range(1, steps + 1)
    chosen = every if POINTS == "all" else sorted(random.Random(SEED).sample(every, min(int(POINTS), steps)))
    lost = []
    for number in chosen:
        begin()
        code, _ = doomed.work(work, directory, die_at=number)
        assert code == -signal.SIGKILL, f"step {number} of {steps}: {doomed.told()}"
        if doomed.work("recover", directory)[0] != 0:
            lost.append(number)
    print(f"\n{work}: {len(chosen)} of {steps} steps tried")
    assert not lost, f"after deaths before the steps {lost} of {steps}\n{doomed.told()}"
