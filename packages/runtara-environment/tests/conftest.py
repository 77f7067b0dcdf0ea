"""Fixtures of the environment's unit tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_environment.supervision import ending, supervisor
from runtara_environment.testing.supervised_host import SupervisedHost, supervised_host


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SupervisedHost]:
    """A host with core, launch table and mock runner, on a clock that stands still."""
    for module in (ending, supervisor):
        monkeypatch.setattr(module, "STOP_GRACE_SECONDS", 60.0)  # what passes is the time of a busy machine
    async with supervised_host(tmp_path) as opened:
        yield opened
