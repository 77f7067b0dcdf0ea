"""What `runtara-ctl drain` says while it waits."""

from __future__ import annotations

import pytest
from runtara_sdk.cli.ctl.hosts import launches_left


@pytest.mark.parametrize(
    ("launches", "line"),
    [
        (0, "nothing runs there; it has not heard of the drain yet"),
        (1, "1 launch has not ended yet"),
        (2, "2 launches have not ended yet"),
    ],
)
def test_a_drain_says_what_it_waits_for(launches: int, line: str) -> None:
    assert launches_left(launches) == line
