"""Which addresses programs may reach: private ones only where nobody has keys, or where the operator lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtara_core.models import LaunchClaim
from runtara_core.security import KeyRing, issue_api_key
from runtara_core.storages import open_storage
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.supervision.guest import CoreAccess, guest_environment
from runtara_environment.supervision.guest_network import GuestNetwork
from runtara_sdk.testing.clock import ManualClock


async def test_keys_close_private_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_HTTP_ALLOWED_NETWORKS", "10.1.0.0/16, 127.0.0.1")
    clock = ManualClock()
    storage = await open_storage(f"sqlite:///{tmp_path}/core.db")
    await storage.open()
    try:
        network = GuestNetwork.with_keys(KeyRing(storage.credentials, clock))
        assert (await network.variables())["RUNTARA_HTTP_PRIVATE_NETWORKS"] == "allowed"
        await storage.credentials.create_api_key(issue_api_key(tenant_id="t", name="", now_ms=1).record)
        clock.advance(60_000)
        assert await network.variables() == {
            "RUNTARA_HTTP_PRIVATE_NETWORKS": "refused",
            "RUNTARA_HTTP_ALLOWED_NETWORKS": "10.1.0.0/16, 127.0.0.1",
        }
    finally:
        await storage.close()


async def test_without_keys_nothing_is_closed() -> None:
    assert await GuestNetwork().variables() == {
        "RUNTARA_HTTP_PRIVATE_NETWORKS": "allowed",
        "RUNTARA_HTTP_ALLOWED_NETWORKS": "",
    }


def test_bounds_of_the_disk_are_the_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_MAX_WORKSPACE_BYTES", "1000")
    env = {"RUNTARA_MAX_WORKSPACE_BYTES": "9", "RUNTARA_MAX_FILE_SIZE": "9", "OTHER": "9"}
    claim = LaunchClaim("i", "t", 1, "image", b"{}", b"", None, 0)
    variables = guest_environment(
        claim, LaunchOptions(digest="d", env=env), CoreAccess("h:1", None), tmp_path, tmp_path / "input.json"
    )
    assert variables["RUNTARA_MAX_WORKSPACE_BYTES"] == "1000"
    assert "RUNTARA_MAX_FILE_SIZE" not in variables
    assert variables["OTHER"] == "9"
