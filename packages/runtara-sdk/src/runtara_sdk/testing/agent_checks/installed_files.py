"""What the metadata of installed distributions tells of modules and requirements."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from runtara_sdk.entry_points import normalised_name


def required_by(distribution: str) -> frozenset[str]:
    """Normalised names of a distribution and of all that it requires, extras of its own included."""
    known: set[str] = set()
    pending = [(normalised_name(distribution), frozenset(_extras(distribution)))]
    visited: set[tuple[str, frozenset[str]]] = set()
    while pending:
        name, extras = pending.pop()
        if (name, extras) in visited:
            continue
        visited.add((name, extras))
        known.add(name)
        pending.extend(
            (normalised_name(requirement.name), frozenset(requirement.extras))
            for requirement in _requirements(name, extras)
        )
    return frozenset(known)


def installed_owners(module: str, file: str) -> frozenset[str]:
    """Normalised names of the distributions that a top-level module belongs to; none for a stray file."""
    search_path = tuple(sys.path)
    recorded = _recorded(search_path).get(module, ())
    in_place = (name for name, source in _sources(search_path) if Path(file).is_relative_to(source))
    return frozenset({*map(normalised_name, recorded), *in_place})


def is_editable(distribution: metadata.Distribution) -> bool:
    """Whether a distribution is installed in place, so that its record does not tell its files."""
    return _source(distribution) is not None


def _extras(distribution: str) -> list[str]:
    try:
        return metadata.metadata(distribution).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []


def _requirements(distribution: str, extras: frozenset[str]) -> list[Requirement]:
    found = []
    try:
        texts = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            found.append(requirement)
    return found


@lru_cache(maxsize=4)
def _recorded(_search_path: tuple[str, ...]) -> dict[str, list[str]]:
    return {name: list(owners) for name, owners in metadata.packages_distributions().items()}


@lru_cache(maxsize=4)
def _sources(_search_path: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    """Distributions that are installed in place, and where."""
    found = ((each, _source(each)) for each in metadata.distributions())
    return tuple((normalised_name(each.name), source) for each, source in found if source is not None)


def _source(distribution: metadata.Distribution) -> Path | None:
    try:
        document = json.loads(distribution.read_text("direct_url.json") or "null")
        url = urlsplit(document["url"])
        if url.scheme != "file" or not document["dir_info"]["editable"]:
            return None
    except (KeyError, TypeError, ValueError):
        return None
    return Path(unquote(url.path))
