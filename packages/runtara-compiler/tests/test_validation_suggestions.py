"""Suggestions by edit distance."""

from hypothesis import given
from hypothesis import strategies as st
from runtara_compiler.language.suggestions import did_you_mean, edit_distance, listing, suggest
from runtara_compiler.validation.findings import duration


def test_known_distances():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3


@given(st.text(max_size=8), st.text(max_size=8))
def test_distance_is_a_metric_within_bounds(left, right):
    distance = edit_distance(left, right)
    assert distance == edit_distance(right, left)
    assert abs(len(left) - len(right)) <= distance <= max(len(left), len(right))
    assert (distance == 0) == (left == right)


def test_the_nearest_candidate_within_half_the_length_plus_two():
    assert suggest("fetchh", ["fetch", "patch"]) == "fetch"
    assert suggest("HTTP", ["http"]) == "http"
    assert suggest("ab", ["abcde"]) == "abcde"
    assert suggest("ab", ["abcdef"]) is None
    assert suggest("x", []) is None
    assert suggest("x", ["abc"]) is None
    assert suggest("ab", ["cde", "xyz"]) is None
    assert suggest("cat", ["rat", "bat"]) == "bat"
    assert did_you_mean("zzzzzzzz", ["a"]) == ""


def test_lists_are_sorted_and_cut():
    assert listing(["b", "a"]) == "a, b"
    assert listing([]) == "none"
    assert listing(map(str, range(25)), most=3) == "0, 1, 10 and 22 more"


def test_durations():
    shown = [duration(value) for value in (999, 1000, 90_000, 5_400_000)]
    assert shown == ["999 ms", "1.0 s", "1.5 min", "1.5 h"]
