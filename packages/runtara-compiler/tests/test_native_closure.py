"""The closure of a base runtime: what is in it, what is not, and when its digest changes."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from runtara_compiler.native.closure import Role, copy_closure, resolve_closure
from runtara_sdk.errors import ConfigurationError


class Site:
    """A site-packages directory made for a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, name: str, *requires: str, version: str = "1.0", source: Path | None = None) -> None:
        package = name.replace("-", "_")
        information = self.directory / f"{package}-{version}.dist-info"
        information.mkdir(parents=True)
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {item}" for item in requires)]
        extras = {found[1] for item in requires if (found := re.search("extra == '(.+)'", item))}
        lines += [f"Provides-Extra: {extra}" for extra in sorted(extras)]
        (information / "METADATA").write_text("\n".join(lines) + "\n\nRequires-Dist: from-the-description\n")
        recorded = [f"{information.name}/METADATA,,", "../../../bin/script,,"]
        if source is None:
            (self.directory / package).mkdir()
            (self.directory / package / "__init__.py").write_text(f"NAME = {name!r}\n")
            recorded.append(f"{package}/__init__.py,sha256=abc{version},10")
        else:
            direct_url = {"url": source.as_uri(), "dir_info": {"editable": True}}
            (information / "direct_url.json").write_text(json.dumps(direct_url))
        (information / "RECORD").write_text("\n".join(recorded) + "\n")

    def find(self, name: str) -> metadata.Distribution:
        for distribution in metadata.distributions(path=[str(self.directory)]):
            if distribution.name == name:
                return distribution
        raise metadata.PackageNotFoundError(name)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


def names(closure):
    return [item.name for item in closure]


def test_requirements_are_followed_with_their_markers(site):
    site.add("runtara-sdk", "left", "Right_Side>=1", "windows-only; sys_platform == 'win32'")
    site.add("left", "deep")
    site.add("right-side")
    site.add("deep")
    site.add("windows-only")
    site.add("unrelated")
    closure = resolve_closure(["runtara-sdk"], find=site.find)
    assert names(closure) == ["deep", "left", "right-side", "runtara-sdk"]
    assert [item.name for item in closure if item.role is Role.COMPILED] == ["runtara-sdk"]


def test_extras_are_followed_only_where_they_are_asked_for(site):
    site.add("root", "library[fast]")
    site.add("library", "speedup; extra == 'fast'", "docs; extra == 'docs'")
    site.add("speedup")
    site.add("docs")
    assert names(resolve_closure(["root"], find=site.find)) == ["library", "root", "speedup"]


def test_what_is_left_out_stays_for_others(site):
    site.add("runtara-sdk", "click")
    site.add("agent", "runtara-sdk")
    site.add("click")
    left_out = {"runtara-sdk": frozenset({"click"})}
    assert names(resolve_closure(["agent"], left_out=left_out, find=site.find)) == ["agent", "runtara-sdk"]
    site.add("second-agent", "click")
    closure = resolve_closure(["agent", "second-agent"], left_out=left_out, find=site.find)
    assert "click" in names(closure)


def test_a_missing_requirement_is_named_with_who_needs_it(site):
    site.add("agent", "absent>=2")
    with pytest.raises(ConfigurationError, match=r"agent needs the distribution absent.*pip install absent"):
        resolve_closure(["agent"], find=site.find)


def test_circular_requirements_end(site):
    site.add("one", "two")
    site.add("two", "one")
    assert names(resolve_closure(["one"], find=site.find)) == ["one", "two"]


def test_copy_holds_the_closure_and_nothing_else(site, tmp_path):
    source = tmp_path / "project"
    (source / "src" / "agent" / "__pycache__").mkdir(parents=True)
    (source / "src" / "agent" / "__init__.py").write_text("")
    (source / "src" / "agent" / "data.json").write_text("{}")
    (source / "src" / "agent" / "__pycache__" / "old.pyc").write_bytes(b"")
    (source / "tests").mkdir()
    (source / "tests" / "test_agent.py").write_text("")
    site.add("agent", "library", source=source)
    site.add("library")
    site.add("unrelated")
    closure = resolve_closure(["agent"], find=site.find)
    copy_closure(closure, tmp_path / "copy")
    copied = sorted(
        path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.*") if path.is_file()
    )
    assert "agent/__init__.py" in copied
    assert "agent/data.json" in copied
    assert "library/__init__.py" in copied
    assert not [path for path in copied if "unrelated" in path or "test" in path or path.endswith(".pyc")]
    record = (tmp_path / "copy" / "agent-1.0.dist-info" / "RECORD").read_text()
    assert "agent/__init__.py,," in record
    assert {item.name: item.top_level_packages for item in closure} == {"agent": ("agent",), "library": ("library",)}


def test_digest_follows_edited_sources_and_versions(site, tmp_path):
    source = tmp_path / "project"
    (source / "src" / "agent").mkdir(parents=True)
    module = source / "src" / "agent" / "__init__.py"
    module.write_text("A = 1\n")
    site.add("agent", source=source)
    site.add("library")
    before = {item.name: item.digest for item in resolve_closure(["agent"], whole=["library"], find=site.find)}
    module.write_text("A = 2\n")
    after = {item.name: item.digest for item in resolve_closure(["agent"], whole=["library"], find=site.find)}
    assert before["agent"] != after["agent"]
    assert before["library"] == after["library"]


def test_a_distribution_without_files_is_refused(site, tmp_path):
    (tmp_path / "empty").mkdir()
    site.add("agent", source=tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="no files on record"):
        resolve_closure(["agent"], find=site.find)


def test_extras_of_an_agent_are_there_when_somebody_installed_them(site):
    site.add(
        "agents-a",
        "reader; extra == 'sheets'",
        "writer; extra == 'sheets'",
        "missing; extra == 'more'",
        "reader; extra == 'more'",
        "runner; extra == 'test'",
    )
    site.add("required", "other; extra == 'unasked'")
    for name in ("reader", "writer", "runner", "other"):
        site.add(name)
    closure = resolve_closure(["agents-a"], whole=["required"], find=site.find)
    assert names(closure) == ["agents-a", "reader", "required", "writer"]
