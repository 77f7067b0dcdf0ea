"""Which distributions belong into a base runtime, and a clean directory made of exactly those.

The roots are the SDK, every installed agent plugin and every storage backend that a workflow can open itself; the rest
follows from declared requirements and their environment markers. What else lies in the user's environment stays out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from runtara_sdk.agents import discover_agents
from runtara_sdk.entry_points import normalised_name
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.plugins import BUNDLE_VARIABLE
from runtara_sdk.settings import EnvironmentReader

SDK_DISTRIBUTION = "runtara-sdk"
AGENT_GROUP = "runtara.agents"
BACKEND_GROUP = "runtara.backends"

FindDistribution = Callable[[str], metadata.Distribution]

_SKIPPED_SUFFIXES = frozenset({".pyc", ".pyo", ".pth"})
_SKIPPED_DIRECTORIES = frozenset({"__pycache__", ".git", ".venv", "node_modules"})
_MAXIMUM_SOURCE_FILES = 20_000
_DEVELOPERS_EXTRAS = frozenset({"dev", "doc", "docs", "lint", "test", "testing", "tests", "typing"})


class Role(StrEnum):
    """Why a distribution is in the closure, and thereby in which form."""

    COMPILED = "compiled"
    """For its own sake, as C: the agents."""
    WHOLE = "whole"
    """For its own sake, as bytecode: the SDK, backends and time zones."""
    REQUIRED = "required"
    """Because others require it, as bytecode."""


@dataclass(frozen=True, slots=True)
class IncludedFile:
    """A file of a distribution: where it is, and its path below `site-packages`."""

    source: Path
    relative: str


@dataclass(frozen=True)
class IncludedDistribution:
    """A distribution of the closure.

    Attributes:
        name: normalized name.
        version: installed version.
        role: why it is there.
        digest: SHA-256 over the content of the files of an agent or an editable installation, else over the hashes
            that the wheel recorded.
        installed: what the environment has; its files are listed when they are asked for.
    """

    name: str
    version: str
    role: Role
    digest: str
    installed: metadata.Distribution = field(repr=False, compare=False)

    @cached_property
    def files(self) -> tuple[IncludedFile, ...]:
        """Its files; of an editable installation, those of its source tree."""
        return _files(self.installed, self.name)

    @property
    def top_level_packages(self) -> tuple[str, ...]:
        """Import names that this distribution provides."""
        names = set()
        for file in self.files:
            first, _, rest = file.relative.partition("/")
            if first.endswith((".dist-info", ".data", ".libs", ".egg-info")):
                continue
            if rest:
                names.add(first)
            elif first.endswith((".py", ".so")):
                names.add(first.split(".", 1)[0])
        return tuple(sorted(name for name in names if name.isidentifier()))


def agent_names() -> tuple[str, ...]:
    """The distributions that contribute agents, in a fixed order: those of the bundle, if one is set, else all.

    The SDK, whose own agents every base has, is not among them.

    Raises `ConfigurationError` when the bundle cannot be used.
    """
    if EnvironmentReader().optional_text(BUNDLE_VARIABLE) is None:
        return tuple(sorted(_contributors(AGENT_GROUP) - {SDK_DISTRIBUTION}))
    bundled = {normalised_name(agent.distribution) for agent in discover_agents().agents.values()}
    return tuple(sorted(bundled - {SDK_DISTRIBUTION}))


def backend_names() -> tuple[str, ...]:
    """The distributions that contribute backends which a workflow can open itself, in a fixed order."""
    return tuple(sorted(_contributors(BACKEND_GROUP)))


def backend_modules() -> tuple[str, ...]:
    """The modules that the backends are loaded from, in a fixed order."""
    return tuple(sorted({entry.module for entry in metadata.entry_points(group=BACKEND_GROUP)}))


def _contributors(group: str) -> set[str]:
    return {normalised_name(entry.dist.name) for entry in metadata.entry_points(group=group) if entry.dist is not None}


def resolve_closure(
    compiled: Iterable[str],
    *,
    whole: Iterable[str] = (),
    left_out: Mapping[str, frozenset[str]] | None = None,
    find: FindDistribution = metadata.distribution,
) -> tuple[IncludedDistribution, ...]:
    """The distributions named by role and all that they require, by name.

    `left_out` names, by who requires them, requirements that the base does without; what only they require stays out.
    Raises `ConfigurationError` naming a requirement that is not installed and who requires it.
    """
    roles = {normalised_name(name): Role.WHOLE for name in whole} | {
        normalised_name(name): Role.COMPILED for name in compiled
    }
    found: dict[str, metadata.Distribution] = {}
    pending = [(name, frozenset[str](), "the compiler") for name in sorted(roles)]
    visited: set[tuple[str, frozenset[str]]] = set()
    while pending:
        name, wanted_extras, required_by = pending.pop()
        if (name, wanted_extras) in visited:
            continue
        visited.add((name, wanted_extras))
        if name not in found:
            try:
                found[name] = find(name)
            except metadata.PackageNotFoundError:
                raise ConfigurationError(
                    f"{required_by} needs the distribution {name}, which is not installed: run `pip install {name}`"
                ) from None
            if roles.get(name) is Role.COMPILED:
                wanted_extras |= _installed_extras(found[name], find)
        skipped = (left_out or {}).get(name, frozenset())
        for requirement in _requirements(found[name], wanted_extras):
            required = normalised_name(requirement.name)
            if required not in skipped:
                pending.append((required, frozenset(requirement.extras), name))
    return tuple(
        _include(name, distribution, roles.get(name, Role.REQUIRED)) for name, distribution in sorted(found.items())
    )


def copy_closure(closure: Iterable[IncludedDistribution], target: Path) -> None:
    """Copy every file of the closure below `target`, which stands in for `site-packages`."""
    for distribution in closure:
        information = None
        for file in distribution.files:
            destination = target / file.relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.source, destination)
            if destination.name == "METADATA" and destination.parent.suffix == ".dist-info":
                information = destination.parent
        if information is not None:
            # The record of an editable installation names no module; tools find a distribution's packages by it.
            lines = [f"{file.relative},,\n" for file in distribution.files]
            (information / "RECORD").write_text("".join(lines), encoding="utf-8")
            (information / "direct_url.json").unlink(missing_ok=True)


def _headers(distribution: metadata.Distribution, wanted: str) -> Iterable[str]:
    """The values of one header of the core metadata: read line by line, ten times as fast as the email parser."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    prefix = f"{wanted}: "
    for line in text.splitlines():
        if not line:
            return
        if line.startswith(prefix):
            yield line.removeprefix(prefix).strip()


def _requirements(distribution: metadata.Distribution, extras: frozenset[str]) -> Iterable[Requirement]:
    for line in _headers(distribution, "Requires-Dist"):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _installed_extras(distribution: metadata.Distribution, find: FindDistribution) -> frozenset[str]:
    """The extras of an agent whose requirements are all installed, as somebody asked for them; tools are left out."""
    plain = set(_requirements(distribution, frozenset()))

    def is_installed(extra: str) -> bool:
        needed = set(_requirements(distribution, frozenset({extra}))) - plain
        return bool(needed) and all(_is_found(requirement.name, find) for requirement in needed)

    extras = _headers(distribution, "Provides-Extra")
    return frozenset(
        extra for extra in extras if normalised_name(extra) not in _DEVELOPERS_EXTRAS and is_installed(extra)
    )


def _is_found(name: str, find: FindDistribution) -> bool:
    try:
        find(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _include(name: str, distribution: metadata.Distribution, role: Role) -> IncludedDistribution:
    # A wheel's own record vouches for third-party code; code that is being worked on is read.
    by_content = role is Role.COMPILED or _editable_source(distribution) is not None
    return IncludedDistribution(
        name=name,
        version=next(iter(_headers(distribution, "Version")), ""),
        role=role,
        digest=_content_digest(_files(distribution, name)) if by_content else _record_digest(distribution),
        installed=distribution,
    )


def _files(distribution: metadata.Distribution, name: str) -> tuple[IncludedFile, ...]:
    source = _editable_source(distribution)
    recorded = _recorded_files(distribution)
    files = recorded if source is None else (*recorded, *_source_files(source, name))
    if all(".dist-info/" in file.relative for file in files):
        raise ConfigurationError(
            f"the distribution {name} has no files on record, so it cannot go into a native build: "
            f"run `pip install --force-reinstall {name}`"
        )
    return files


def _recorded_files(distribution: metadata.Distribution) -> tuple[IncludedFile, ...]:
    files = []
    for recorded in distribution.files or ():
        # Scripts and data lie outside of site-packages ("../../bin/name"): a base has no use for them.
        if ".." in recorded.parts or recorded.is_absolute() or recorded.suffix in _SKIPPED_SUFFIXES:
            continue
        if recorded.name.startswith(("_editable_impl_", "__editable__")) or "__pycache__" in recorded.parts:
            continue
        source = Path(str(distribution.locate_file(recorded)))
        if source.is_file():
            files.append(IncludedFile(source, recorded.as_posix()))
    return tuple(sorted(files, key=lambda file: file.relative))


def _editable_source(distribution: metadata.Distribution) -> Path | None:
    """The project directory of an editable installation, from its `direct_url.json`."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return None
    try:
        document = json.loads(text)
        url = urlsplit(document["url"])
        if url.scheme != "file" or not document.get("dir_info", {}).get("editable"):
            return None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return Path(unquote(url.path))


def _source_files(project: Path, name: str) -> tuple[IncludedFile, ...]:
    root = project / "src" if (project / "src").is_dir() else project
    package = name.replace("-", "_")
    packages = (
        [root / package]
        if (root / package).is_dir()
        else [path.parent for path in sorted(root.glob("*/__init__.py")) if path.parent.name not in {"tests", "docs"}]
    )
    files = []
    for directory in packages:
        for path in sorted(directory.rglob("*")):
            if path.suffix in _SKIPPED_SUFFIXES or _SKIPPED_DIRECTORIES & set(path.parts) or not path.is_file():
                continue
            files.append(IncludedFile(path, path.relative_to(root).as_posix()))
            if len(files) > _MAXIMUM_SOURCE_FILES:
                raise ConfigurationError(f"{directory} has more than {_MAXIMUM_SOURCE_FILES} files: not a package?")
    return tuple(files)


def _content_digest(files: Iterable[IncludedFile]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.relative):
        # What an installer writes about the place and time of an installation says nothing of the code.
        if ".dist-info/" in file.relative and not file.relative.endswith(("/METADATA", "/entry_points.txt")):
            continue
        digest.update(f"{file.relative}\0{file.source.stat().st_size}\0".encode())
        digest.update(file.source.read_bytes())
    return digest.hexdigest()


def _record_digest(distribution: metadata.Distribution) -> str:
    record = distribution.read_text("RECORD") or ""
    lines = sorted(line for line in record.splitlines() if ".dist-info/" not in line and not line.startswith(".."))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
