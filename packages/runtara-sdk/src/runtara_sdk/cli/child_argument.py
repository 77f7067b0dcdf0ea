"""`--child ID=PATH` and `--child-version ID=VERSION`: the scenarios that a scenario embeds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.services import ChildFile

_LARGEST_VERSION = 2**32 - 1


def read_children(children: Iterable[str], versions: Iterable[str]) -> tuple[ChildFile, ...]:
    """The children that both options name; raises `InvalidInputError` that names option and remedy."""
    numbers = dict(_version(text) for text in versions)
    files: dict[str, ChildFile] = {}
    for text in children:
        scenario_id, _, path = text.partition("=")
        if not scenario_id or not path:
            raise InvalidInputError(f"--child {text!r}: write ID=PATH, such as --child billing=billing.json")
        if scenario_id in files:
            raise InvalidInputError(f"--child {scenario_id}: is given twice; one version of a child can be embedded")
        files[scenario_id] = ChildFile(scenario_id, Path(path), numbers.pop(scenario_id, None))
    if numbers:
        raise InvalidInputError(f"--child-version {next(iter(numbers))}: no --child has this id")
    return tuple(files.values())


def _version(text: str) -> tuple[str, int]:
    scenario_id, _, number = text.rpartition("=")
    if not scenario_id or not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= _LARGEST_VERSION:
        raise InvalidInputError(f"--child-version {text!r}: write ID=NUMBER with a number from 1 on")
    return scenario_id, int(number)
