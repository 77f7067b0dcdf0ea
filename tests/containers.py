"""The container runtime that tests use."""

from __future__ import annotations

import asyncio

import pytest
from runtara_environment.runners.oci.runner import OciRunner

RUNTIME = "runc"


@pytest.fixture(autouse=True)
def container_runtime(monkeypatch: pytest.MonkeyPatch) -> str:
    """The runtime, for every test of a module."""
    return choose_runtime(monkeypatch)


def choose_runtime(monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose the runtime for the test and the processes that it starts; skips where it does not work."""
    monkeypatch.setenv("RUNTARA_OCI_RUNTIME", RUNTIME)
    probe = asyncio.run(OciRunner().probe())
    if not probe.available:
        pytest.skip(f"no containers on this machine: {probe.reason}")
    return RUNTIME
