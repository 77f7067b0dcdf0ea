"""The entry points of installed distributions, as `importlib.metadata` finds them, in a tenth of its time.

Every command asks for them, and `importlib.metadata` alone takes longer to import than a command may take to start. So
the files that installers write are read here: `*.dist-info/entry_points.txt` of the search path, and the name and
version of a distribution that has an entry of interest. Where a distribution may come from elsewhere (an archive on
the search path, an importer that knows distributions of its own), `importlib.metadata` is asked after all.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any, NamedTuple

PREFIX = "runtara."
"""What the names of all groups begin with."""

_VALUE = re.compile(r"(?P<module>[\w.]+)\s*(:\s*(?P<attribute>[\w.]+))?\s*(\[.*\])?\s*$")


class InstalledEntryPoint(NamedTuple):
    """One entry of a distribution's `entry_points.txt`; `distribution` is "unknown" when its metadata does not tell."""

    group: str
    name: str
    value: str
    distribution: str
    version: str


def installed_entry_points(group: str) -> list[InstalledEntryPoint]:
    """The entry points of a group; nothing is imported. The files are read once for a search path."""
    return [entry for entry in _all_entry_points(tuple(sys.path)) if entry.group == group]


def load_target(value: str) -> Any:
    """The object that a value (`module` or `module:attribute`) names; raises whatever importing it raises."""
    match = _VALUE.match(value)
    if match is None:
        raise ImportError(f"{value!r} is not of the form module:attribute")
    found: Any = import_module(match["module"])
    for name in (match["attribute"] or "").split("."):
        found = getattr(found, name) if name else found
    return found


def installed_version(distribution: str) -> str:
    """The version of an installed distribution, or "unknown"."""
    search_path = tuple(sys.path)
    if _has_other_sources(search_path):
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(distribution)
        except PackageNotFoundError:
            return "unknown"
    folder = _distributions(search_path).get(normalised_name(distribution))
    return (_header(_headers(folder), "Version") if folder else "") or "unknown"


def installed_requirements(distribution: str) -> list[str]:
    """What an installed distribution requires, as in its metadata (PEP 508); of one that is not there, nothing."""
    search_path = tuple(sys.path)
    if _has_other_sources(search_path):
        from importlib.metadata import PackageNotFoundError, requires

        try:
            return requires(distribution) or []
        except PackageNotFoundError:
            return []
    folder = _distributions(search_path).get(normalised_name(distribution))
    headers = _headers(folder).partition("\n\n")[0] if folder else ""
    return [found.strip() for found in re.findall(r"^Requires-Dist:(.*)$", headers, re.MULTILINE | re.IGNORECASE)]


def normalised_name(distribution: str) -> str:
    """The name of a distribution as installers compare it."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def installed_metadata_folders() -> tuple[str, ...] | None:
    """The `*.dist-info` folders of all installed distributions; None where some may come from elsewhere."""
    search_path = tuple(sys.path)
    return None if _has_other_sources(search_path) else tuple(sorted(_distributions(search_path).values()))


@lru_cache(maxsize=4)
def _all_entry_points(search_path: tuple[str, ...]) -> tuple[InstalledEntryPoint, ...]:
    if _has_other_sources(search_path):
        return tuple(_by_importlib())
    return tuple(entry for folder in _distributions(search_path).values() for entry in _of_distribution(folder))


def _has_other_sources(search_path: Iterable[str]) -> bool:
    importers = (importer for importer in sys.meta_path if importer is not PathFinder)
    return any(hasattr(importer, "find_distributions") for importer in importers) or any(
        map(os.path.isfile, search_path)
    )


@lru_cache(maxsize=4)
def _distributions(search_path: tuple[str, ...]) -> dict[str, str]:
    """Normalised name and metadata folder of each; the first one on the path hides the others, as for modules."""
    found: dict[str, str] = {}
    for folder in search_path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - text is cheaper here
        except OSError:
            continue
        for name in names:
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            if suffix.lower() in (".dist-info", ".egg-info"):
                found.setdefault(normalised_name(stem.partition("-")[0]), os.path.join(folder, name))  # noqa: PTH118
    return found


def _of_distribution(folder: str) -> Iterator[InstalledEntryPoint]:
    entries = list(_parse(_read(f"{folder}/entry_points.txt")))
    if entries:
        headers = _headers(folder)
        name, version = (_header(headers, field) for field in ("Name", "Version"))
        for group, entry, value in entries:
            yield InstalledEntryPoint(group, entry, value, name or "unknown", version)


def _headers(folder: str) -> str:
    return _read(f"{folder}/METADATA") or _read(f"{folder}/PKG-INFO")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib would have to be imported
            return file.read()
    except OSError:  # a distribution without such a file, or one that is just being removed
        return ""


def _parse(text: str) -> Iterator[tuple[str, str, str]]:
    """Group, name and value of the entries in groups of interest."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif group.startswith(PREFIX) and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield group, name.strip(), value.strip()


def _header(text: str, field: str) -> str:
    """A header of a METADATA file; the description behind the blank line has none."""
    match = re.search(rf"^{field}:(.*)$", text.partition("\n\n")[0], re.MULTILINE | re.IGNORECASE)
    return match[1].strip() if match else ""


def _by_importlib() -> Iterator[InstalledEntryPoint]:
    from importlib.metadata import entry_points

    found: Any = entry_points()  # its type changed with Python 3.12
    for group in found.groups:
        for entry in found.select(group=group) if group.startswith(PREFIX) else ():
            try:
                name, version = entry.dist.name, entry.dist.version
            except (AttributeError, OSError):  # no distribution, or one without metadata
                name = version = None
            yield InstalledEntryPoint(group, entry.name, entry.value, name or "unknown", version or "")
