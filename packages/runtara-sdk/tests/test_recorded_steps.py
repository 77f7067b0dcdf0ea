"""Checkpoint ids tell their step, and have a counterpart under another instance."""

from collections.abc import Iterator

import pytest
from runtara_sdk.recorded_steps import belongs_to_time, steps_of, under_another_instance
from runtara_sdk.workflow.scope import Scope

BASE = "order::a.b+1"
SCOPES = {
    "graph": Scope(BASE),
    "body": Scope(BASE).iteration("each/one", 3),
    "body of a body": Scope(BASE).iteration("each", 3).iteration("again", 0),
    "child": Scope(BASE).child("sub", is_root=True),
    "child of a child": Scope(BASE).child("sub", is_root=True).child("sub__sub", is_root=False),
    "body of a child": Scope(BASE).iteration("each", 3).child("sub", is_root=True).body("loop"),
}
AROUND = {
    "graph": (),
    "body": ("each/one",),
    "body of a body": ("each", "again"),
    "child": ("sub",),
    "child of a child": ("sub", "sub__sub"),
    "body of a child": ("each", "sub", "loop"),
}


def keys(scope: Scope) -> Iterator[str]:
    yield scope.key("agent", "http", "request", "pay::it")
    yield scope.key("agent", "split", "delay", "pay::it") + "::begun::1"
    yield scope.key("delay", "pay::it")
    yield scope.key("handled", "pay::it")
    yield scope.key("split", "pay::it") + "::deadline"


@pytest.mark.parametrize("name", SCOPES)
def test_the_step_of_a_key_and_those_around_it(name: str) -> None:
    for key in keys(SCOPES[name]):
        found = steps_of(key, "a.b+1")
        assert found[-1] == "pay::it", key
        assert set(AROUND[name]) <= set(found), key


@pytest.mark.parametrize("name", SCOPES)
def test_a_key_under_another_instance_is_the_one_that_it_would_make(name: str) -> None:
    own = SCOPES[name]
    other = Scope(own.base.replace("a.b+1", "fork-1"), own.path, own.loop_indices)
    assert [under_another_instance(key, "a.b+1", "fork-1") for key in keys(own)] == list(keys(other))
    signal = under_another_instance(own.signal_id("a.b+1", "ask"), "a.b+1", "fork-1")
    assert signal == other.signal_id("fork-1", "ask")


@pytest.mark.parametrize("name", ["graph", "child", "child of a child"])
def test_a_wait_for_a_signal_tells_its_step(name: str) -> None:
    assert "ask" in steps_of(SCOPES[name].signal_id("a.b+1", "ask"), "a.b+1")
    assert "ask" in steps_of(Scope(BASE).iteration("each", 3).signal_id("a.b+1", "ask"), "a.b+1")


def test_functions_and_other_ids() -> None:
    assert steps_of('durable::shop.orders:Shop.pay::"A-1"', "i") == ("shop.orders:Shop.pay", "Shop.pay")
    assert steps_of("step-1", "i") == ()
    assert steps_of("order::another::agent::http::request::pay", "i") == ()
    assert under_another_instance("step-1", "step", "fork-1") == "step-1"
    assert under_another_instance("order::step-1::done", "step", "fork-1") == "order::step-1::done"
    assert under_another_instance("order::i::done::i::x", "i", r"\1") == r"order::\1::done::i::x"


def test_time_limits_and_waits_for_rate_limits_are_no_work() -> None:
    assert belongs_to_time(f"{BASE}::run::deadline")
    assert belongs_to_time(f"{BASE}::rate_limit::12")
    assert not belongs_to_time(f"{BASE}::delay::deadline_of_it")
    assert not belongs_to_time(f"{BASE}::agent::http::request::rate_limit::x")
