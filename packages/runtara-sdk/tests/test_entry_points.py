"""Entry points are found as `importlib.metadata` finds them."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from runtara_sdk import entry_points

GROUPS = ("runtara.agents", "runtara.cli", "runtara.services")


def install(site: Path, name: str, version: str, text: str) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    header = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: in the description\n"
    (info / "METADATA").write_text(header)
    (info / "entry_points.txt").write_text(text)


def by_importlib(group: str) -> set[tuple[str, str, str, str]]:
    return {
        (entry.name, entry.value, entry.dist.name, entry.dist.version)
        for entry in importlib.metadata.entry_points(group=group)
        if entry.dist is not None
    }


def by_reading(group: str) -> set[tuple[str, str, str, str]]:
    return {entry[1:] for entry in entry_points.installed_entry_points(group)}


def test_the_same_is_found_as_by_importlib() -> None:
    for group in GROUPS:
        assert by_reading(group) == by_importlib(group) != set()
    for name in ("runtara-sdk", "Runtara_Core", "pydantic"):
        assert entry_points.installed_version(name) == importlib.metadata.version(name)
    assert entry_points.installed_version("no-such-distribution") == "unknown"


def test_comments_other_groups_and_hidden_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ours = "[runtara.agents]\n# none = here\n mine = my_module \nother=a.b:c.d\n"
    text = f"# a comment\n[console_scripts]\nx = y:z\n\n{ours}"
    install(first, "my-plugin", "2.0", text)
    install(second, "My_Plugin", "1.0", "[runtara.agents]\nhidden = old\n")
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "absent"), str(second)])
    assert by_reading("runtara.agents") == by_importlib("runtara.agents")
    assert by_reading("runtara.agents") == {
        ("mine", "my_module", "my-plugin", "2.0"),
        ("other", "a.b:c.d", "my-plugin", "2.0"),
    }
    assert by_reading("console_scripts") == set()
    assert entry_points.installed_version("my_plugin") == "2.0"


def test_an_archive_on_the_path_is_left_to_importlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("zipped-3.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipped\nVersion: 3.0\n")
        archive.writestr("zipped-3.0.dist-info/entry_points.txt", "[runtara.cli]\nzip = zipped:command\n")
    monkeypatch.setattr(sys, "path", [str(path)])
    assert by_reading("runtara.cli") == {("zip", "zipped:command", "zipped", "3.0")}
    assert entry_points.installed_version("zipped") == "3.0"
    assert entry_points.installed_version("absent") == "unknown"


class _NoDistributions:
    """An importer that knows distributions of its own, such as editable installations have."""

    def find_spec(self, *_arguments: object) -> None:
        """No module."""

    def find_distributions(self, _context: object) -> list[importlib.metadata.Distribution]:
        """None, too."""
        return []


@pytest.mark.parametrize("importers", [[], [_NoDistributions()]], ids=["files", "importlib"])
def test_a_distribution_without_metadata_does_no_harm(
    importers: list[_NoDistributions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "half-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[runtara.cli]\nhalf = half:command\n")
    known = [importer for importer in sys.meta_path if not hasattr(importer, "find_distributions")]
    monkeypatch.setattr(sys, "meta_path", [PathFinder, *known, *importers])
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert by_reading("runtara.cli") == {("half", "half:command", "unknown", "")}


@pytest.mark.parametrize("value", ["json:loads", "json : loads", "json:loads [extra]"])
def test_targets_are_loaded(value: str) -> None:
    assert entry_points.load_target(value)("[1]") == [1]


def test_a_target_may_be_a_module_or_an_attribute_of_an_attribute() -> None:
    assert entry_points.load_target("json.decoder").__name__ == "json.decoder"
    assert entry_points.load_target("pathlib:Path.cwd")() == Path.cwd()
    for wrong in ("", "json:", "a b", ":loads"):
        with pytest.raises(ImportError, match="module:attribute"):
            entry_points.load_target(wrong)


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, runtara_sdk.plugins as p; p.find_plugins('runtara.cli'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"importlib.metadata", "email", "click"} & set(loaded)
