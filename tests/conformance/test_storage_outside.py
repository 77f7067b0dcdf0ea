"""A storage of another distribution: found through its entry point, held to the same suite."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_core.testing.storage_suite import StorageConformance
from runtara_sdk.errors import ConfigurationError

SOURCE = Path(__file__).parents[2] / "examples" / "outside_plugins" / "storage" / "src"


def install(site: Path, name: str, entry: str) -> None:
    """What an installer leaves of a distribution with one storage plugin."""
    metadata = site / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[runtara.storage]\n{entry}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with installed distributions, of which the outside storage is one."""
    site = tmp_path / "site"
    install(site, "acme-storage", "acme = acme_storage.plugin")
    monkeypatch.syspath_prepend(str(SOURCE))
    monkeypatch.syspath_prepend(str(site))
    return site


class TestOutsideStorage(StorageConformance):
    @pytest.fixture
    async def storage(self, site: Path) -> AsyncIterator[Storage]:
        storage = await open_storage("memory://suite")
        assert type(storage).__module__ == "acme_storage.memory"
        await storage.open()
        yield storage
        await storage.close()


async def test_an_installed_storage_is_listed(site: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"scheme 'mysql': installed are acme, postgres, sqlite$"):
        await open_storage("mysql://db/core")


@pytest.mark.parametrize("label", ["acme", "runtara.storage:acme", "acme-storage"])
async def test_a_storage_can_be_switched_off(site: Path, monkeypatch: pytest.MonkeyPatch, label: str) -> None:
    monkeypatch.setenv("RUNTARA_DISABLE_PLUGINS", label)
    with pytest.raises(ConfigurationError, match=r"postgres, sqlite; switched off by .*: acme"):
        await open_storage("memory://suite")
    assert await open_storage("core.db")


async def test_only_listed_storages_are_used(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_PLUGINS", "acme")
    assert await open_storage("memory://suite")
    with pytest.raises(ConfigurationError, match="installed are acme; switched off"):
        await open_storage("core.db")


async def test_broken_storages_are_left_out(
    site: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTARA_PLUGIN_LOAD_SECONDS", "0.2")
    install(site, "leaving-storage", "leaving = leaving_storage")
    install(site, "hanging-storage", "hanging = hanging_storage")
    install(site, "absent-storage", "absent = no_such_module")
    install(site, "failing-storage", "failing = failing_storage")
    install(site, "odd-storage", "odd = odd_storage")
    hook = "from runtara_core.hookspecs import hookimpl\n@hookimpl\ndef runtara_storage(database_url):\n    "
    (site / "failing_storage.py").write_text(f"{hook}raise RuntimeError('out of order')\n")
    (site / "odd_storage.py").write_text(f"{hook}return 'no storage'\n")
    (site / "leaving_storage.py").write_text(f"{hook}raise SystemExit('no licence')\n")
    (site / "hanging_storage.py").write_text(f"{hook}import threading; threading.Event().wait(60)\n")
    with caplog.at_level(logging.WARNING):
        assert await open_storage("core.db")
    assert "plugin absent of absent-storage cannot be loaded: ModuleNotFoundError" in caplog.text
    assert "plugin failing of failing-storage cannot be loaded: RuntimeError: out of order" in caplog.text
    assert "plugin odd of odd-storage cannot be loaded: TypeError: its hook returned str" in caplog.text
    assert "plugin leaving of leaving-storage cannot be loaded: SystemExit: no licence" in caplog.text
    assert "plugin hanging of hanging-storage cannot be loaded: it did not finish loading within 0.2 s" in caplog.text
    with pytest.raises(ConfigurationError, match=r"installed are acme, .*; plugin absent of absent-storage cannot be"):
        await open_storage("mysql://db/core")
