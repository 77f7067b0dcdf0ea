"""Which checkpoints a fork gets."""

from __future__ import annotations

import json

import pytest
from runtara_core.models import InstanceFork
from runtara_core.restarts import MAX_FORKED_CHECKPOINTS, copied_checkpoints
from runtara_sdk.errors import InvalidInputError

BASE = "order::i"


def kept(step: str | None, *recorded: str, error: str | None = None, **attempted: int) -> list[str]:
    """What is copied of checkpoints that were recorded at 0, 1, 2, ..."""
    moments = {checkpoint_id: at_ms for at_ms, checkpoint_id in enumerate(recorded)}
    return list(copied_checkpoints(InstanceFork("f", "i", step), moments, attempted, error))


def test_a_step_with_a_body_begins_with_the_first_record_inside_of_it() -> None:
    recorded = [
        f"{BASE}::agent::http::request::a",
        f"{BASE}::each::agent::http::request::b::[0]",
        f"{BASE}::each::agent::http::request::b::[1]",
        f"{BASE}::split::each",
        f"{BASE}::agent::http::request::c",
    ]
    assert kept("each", *recorded) == recorded[:1]
    assert kept("b", *recorded) == recorded[:1]
    assert kept(recorded[2], *recorded) == recorded[:2]
    assert kept("c", *recorded) == recorded[:4]


def test_what_was_recorded_while_a_step_was_tried_for_the_first_time_is_kept() -> None:
    assert kept("x", "a", "b", "c", x=1) == ["a", "b"]


def test_the_step_that_failed_needs_no_record() -> None:
    error = json.dumps({"message": "no", "stepId": "pay"})
    assert kept("pay", "a", "b", error=error) == ["a", "b"]
    with pytest.raises(InvalidInputError):
        kept("pay", "a", "b", error="pay")


def test_of_two_that_would_have_one_name_the_first_is_copied() -> None:
    found = copied_checkpoints(InstanceFork("f", "i"), {"x::i::y": 0, "x::f::y": 1}, {}, None)
    assert found == {"x::i::y": "x::f::y"}


def test_an_origin_without_records_is_forked_from_its_end_alone() -> None:
    assert kept(None) == []
    with pytest.raises(InvalidInputError, match="fork it from its end by naming no step"):
        kept("a")
    with pytest.raises(InvalidInputError, match="11 more that its checkpoints show"):
        kept("x", *map(str, range(41)))


def test_very_many_checkpoints_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="more than 100000 checkpoints"):
        kept(None, *map(str, range(MAX_FORKED_CHECKPOINTS + 1)))
