"""Faults on real parts: a network that loses, a database that goes away, a disk that fills, clients that attack.

Everything random is drawn from a seed that the test's name shows. Nothing sleeps for a fixed time: tests wait for
conditions, with deadlines. RUNTARA_LONG_TESTS=1 adds more seeds and rounds.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

# The parts that these tests share are modules beside them.
sys.path.insert(0, str(Path(__file__).parent))

from daemon_process import DaemonProcess
from runtara_core.daemon import CoreDaemon
from runtara_core.models import CoreLimits
from runtara_core.settings import CoreSettings

LONG = os.environ.get("RUNTARA_LONG_TESTS", "") not in {"", "0"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(20) if LONG else range(2), ids=lambda seed: f"seed{seed}")


@pytest.fixture(autouse=True, scope="package")
def no_garbage_of_earlier_tests() -> Iterator[None]:
    """Attackers and those who must be served share this process: both stall while it goes through old objects."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def rounds() -> int:
    """How often a fault is repeated."""
    return 20 if LONG else 3


@pytest.fixture(params=["aioquic", "qh3"])
def quic_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The QUIC library of both sides."""
    name = str(request.param)
    monkeypatch.setenv("RUNTARA_QUIC_LIBRARY", name)
    return name


@pytest.fixture(params=["aioquic", "qh3", "local"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The QUIC library of both sides, or `local`."""
    name = str(request.param)
    if name != "local":
        monkeypatch.setenv("RUNTARA_QUIC_LIBRARY", name)
    return name


@pytest.fixture
def running_core(tmp_path: Path) -> Any:
    """A context manager that runs core in this process, on an SQLite file of this test unless told otherwise."""

    @asynccontextmanager
    async def run(database_url: str | None = None, **settings: Any) -> AsyncIterator[CoreDaemon]:
        daemon = CoreDaemon(
            CoreSettings(
                database_url=database_url or f"sqlite:///{tmp_path}/core.db",
                instance_port=0,
                management_port=0,
                data_dir=tmp_path / "data",
                limits=CoreLimits(max_concurrent_instances=1_000),
            ),
            **settings,
        )
        await daemon.start()
        try:
            yield daemon
        finally:
            await daemon.close()

    return run


@pytest.fixture
async def daemon_process(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """A core daemon in a process of its own, not started yet."""
    process = DaemonProcess(tmp_path)
    yield process
    await process.kill()
