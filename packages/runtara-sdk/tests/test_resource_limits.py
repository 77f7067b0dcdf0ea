"""Bounds: merged, checked, read from texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits, format_limit, parse_bytes


def test_what_comes_first_wins_bound_by_bound() -> None:
    image = ResourceLimits(memory_bytes=2**30, processes=10)
    assert ResourceLimits(memory_bytes=2**29, cpu_cores=2).over(image) == ResourceLimits(2**29, 2, 10)
    assert UNLIMITED.over(image) == image


def test_limits_survive_their_encoding() -> None:
    limits = ResourceLimits(2**30, 0.5, 10, 2**20, 100, 2**26, 2**20)
    assert ResourceLimits.from_json(json.loads(limits.encode())) == limits
    assert ResourceLimits.from_json({"later": 1}) == UNLIMITED


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"memory_bytes": 1}, "limits.memory_bytes is 1 bytes: give one from 16 MiB to 1024 TiB"),
        ({"memory_bytes": 2**60}, "limits.memory_bytes is 1048576 TiB: give one"),
        ({"memory_bytes": "1GiB"}, "limits.memory_bytes is '1GiB', which is not a whole number"),
        ({"memory_bytes": True}, "limits.memory_bytes is True, which is not a whole number"),
        ({"cpu_cores": float("nan")}, "limits.cpu_cores is nan, which is not a number"),
        ({"cpu_cores": 0}, "limits.cpu_cores is 0: give one from 0.01 to 10000"),
        ({"processes": 1.5}, "limits.processes is 1.5, which is not a whole number"),
        ({"open_files": -1}, "limits.open_files is -1: give one from 32 to 1048576"),
    ],
)
def test_bad_bounds_are_named(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ResourceLimits.from_json(bounds)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "size"),
    [("1048576", 2**20), ("512MiB", 2**29), ("1.5 GiB", 3 * 2**29), ("2GB", 2 * 10**9), ("3kB", 3000), ("7B", 7)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "1 gallon", "1KB", "-", "1.2.3MiB", "nan", "1e400.0"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size: write 512MiB"):
        parse_bytes(text)


def test_bounds_are_shown_in_the_largest_unit_that_divides_them() -> None:
    assert format_limit("memory_bytes", 512 * 2**20) == "512 MiB"
    assert format_limit("memory_bytes", 2**30 + 1) == "1073741825 bytes"
    assert format_limit("cpu_cores", 0.5) == "0.5"
