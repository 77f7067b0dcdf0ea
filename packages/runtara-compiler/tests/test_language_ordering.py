"""The order of steps: joins, branches, fan-out, cycles."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_compiler.language import StepCycleError, load_scenario, order_steps
from runtara_compiler.language.ordering import find_cycles, reachable_steps

_CONDITION = {"type": "value", "valueType": "immediate", "value": True}


def graph_of(*edges, entry=None):
    """A graph from texts such as `a>b` and `c>b:true`; names starting with c branch, with f finish, others log."""
    steps, plan = {}, []
    for text in edges:
        ends, _, label = text.partition(":")
        names = ends.split(">")
        for name in names:
            kind = {"c": "Conditional", "f": "Finish"}.get(name[0], "Log")
            body = {"Conditional": {"condition": _CONDITION}, "Log": {"message": name}, "Finish": {}}[kind]
            steps[name] = {"stepType": kind, **body}
        if len(names) == 2:
            plan.append({"fromStep": names[0], "toStep": names[1], **({"label": label} if label else {})})
    document = {"steps": steps, "executionPlan": plan, "entryPoint": entry or next(iter(steps))}
    return load_scenario(document, origin="test").execution_graph


def test_a_join_waits_for_both_arms_of_a_diamond():
    order = order_steps(graph_of("a>b", "a>d", "d>e", "b>j", "e>j", "j>f"))
    assert order.steps == ("a", "b", "d", "e", "j", "f")
    assert order.always == frozenset(order.steps)
    assert [edge.from_step for edge in order.incoming["j"]] == ["b", "e"]
    assert order.incoming["a"] == ()


def test_a_join_after_both_branches_always_runs_but_the_branches_do_not():
    order = order_steps(graph_of("a>c", "c>x:true", "c>y:false", "x>j", "y>j", "j>f"))
    assert order.always == {"a", "c", "j", "f"}


def test_a_branch_without_its_counterpart_makes_what_follows_conditional():
    order = order_steps(graph_of("c>x:true", "x>f"))
    assert order.always == {"c"}


def test_both_branches_may_lead_to_the_same_step():
    assert order_steps(graph_of("c>f:true", "c>f:false")).always == {"c", "f"}


def test_nested_conditionals_merge():
    edges = ("c1>c2:true", "c1>x:false", "c2>y:true", "c2>z:false", "y>m", "z>m", "m>f", "x>f")
    order = order_steps(graph_of(*edges))
    assert order.always == {"c1", "f"}
    assert order.positions()["m"] < order.positions()["f"]


def test_finish_comes_after_every_other_step_that_is_ready():
    order = order_steps(graph_of("a>f", "a>b", "b>d"))
    assert order.steps == ("a", "b", "d", "f")


def test_edges_out_of_a_finish_lead_nowhere():
    graph = graph_of("a>f", "f>b")
    assert order_steps(graph).steps == ("a", "f")
    assert reachable_steps(graph) == {"a", "f"}


def test_handlers_come_after_the_step_and_nothing_behind_one_is_certain():
    graph = graph_of("a>b", "b>f", "a>h:onError", "h>f")
    order = order_steps(graph)
    assert order.steps == ("a", "b", "h", "f")
    assert order.always == {"a"}
    assert "h" in reachable_steps(graph)


def test_an_edge_back_to_an_earlier_step_is_a_cycle_even_for_a_handler():
    with pytest.raises(StepCycleError):
        order_steps(graph_of("a>b", "b>f", "b>a:onError", entry="a"))


def test_a_cycle_is_named():
    graph = graph_of("a>b", "b>d", "d>b", "d>f", entry="a")
    with pytest.raises(StepCycleError) as caught:
        order_steps(graph)
    assert caught.value.steps == ("b", "d", "b")
    assert find_cycles(graph) == [("b", "d", "b")]


def test_separate_cycles_and_self_loops_are_all_found():
    graph = graph_of("a>f", "x>x", "y>z", "z>y", entry="a")
    assert sorted(find_cycles(graph)) == [("x", "x"), ("y", "z", "y")]
    assert order_steps(graph).steps == ("a", "f")


@given(st.integers(2, 25), st.randoms(use_true_random=False))
def test_acyclic_graphs_are_ordered_whatever_the_order_of_edges(size, source: random.Random):
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size) if source.random() < 0.2]
    pairs += [(i, i + 1) for i in range(size - 1)]
    edges = [f"s{i}>s{j}" for i, j in set(pairs)]
    source.shuffle(edges)
    order = order_steps(graph_of(*edges, entry="s0"))
    place = order.positions()
    assert len(place) == size
    assert all(place[f"s{i}"] < place[f"s{j}"] for i, j in pairs)
    assert order.always == frozenset(order.steps)


def test_a_long_chain_with_many_branches_is_cheap():
    edges = [edge for i in range(1500) for edge in (f"c{i}>c{i + 1}:true", f"c{i}>c{i + 1}:false")]
    assert len(order_steps(graph_of(*edges, entry="c0")).always) == 1501
