"""The path grammar: examples, refusals, and properties."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runtara_compiler.language.paths import PathSyntaxError, format_path, parse_path
from runtara_sdk.workflow.paths import parse_path as parse_at_run_time


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("data", ("data",)),
        ("data.order.lines[0].sku", ("data", "order", "lines", 0, "sku")),
        ("steps.fetch.outputs.items.2.id", ("steps", "fetch", "outputs", "items", "2", "id")),
        ("data.items.-1", ("data", "items", "-1")),
        ("data.items[-1]", ("data", "items", -1)),
        ("data['full name']", ("data", "full name")),
        ('data["a.b"].c', ("data", "a.b", "c")),
        ("data['it's']", ("data", "it's")),
        ("data['']", ("data", "")),
        ("data['{{x}}']", ("data", "{{x}}")),
        ("steps.a-b_c.outputs", ("steps", "a-b_c", "outputs")),
        ("data.größe", ("data", "größe")),
        ("data.full name", ("data", "full name")),
        ("data['a']['b'][0][1]", ("data", "a", "b", 0, 1)),
    ],
)
def test_paths_parse(path, segments):
    assert parse_path(path) == segments


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("data..x", "empty segment"),
        ("data.", "empty segment"),
        (".data", "empty segment"),
        ("[0]", "empty segment"),
        ("data.['x']", "empty segment"),
        ("{{ data.x }}", "template"),
        ("data.{{x}}", "template"),
        ("data.x ", "white space"),
        ("data[x]", "neither a position"),
        ("data[1", "not closed"),
        ("data['x", "not closed"),
        ("data['x\"]", "not closed"),
        ("data[0]x", "expected"),
        ("data]x", "expected"),
        ("data[" + "9" * 30 + "]", "out of any range"),
        ("a" * 5000, "exceeds"),
    ],
)
def test_malformed_paths_say_why(path, reason):
    with pytest.raises(PathSyntaxError, match=reason):
        parse_path(path)


@example("data[007][-0].x")
@given(st.text(max_size=60) | st.text(alphabet="data.['\"]0-1{} x", max_size=30))
def test_any_text_gives_segments_or_a_path_error(path):
    try:
        segments = parse_path(path)
    except PathSyntaxError:
        return
    assert isinstance(segments[0], str)
    # What the compiler accepts, a running workflow reads in the same way.
    assert [segment.key for segment in parse_at_run_time(path)] == [str(segment) for segment in segments]


_KEYS = st.text(max_size=12).filter(lambda key: not ("']" in key and '"]' in key))
_NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True)


@given(_NAMES, st.lists(_NAMES | _KEYS.filter(lambda key: not key.endswith(("'", '"'))) | st.integers(-99, 10**6)))
def test_formatted_segments_parse_to_themselves(root, rest):
    segments = (root, *rest)
    assert parse_path(format_path(segments)) == segments
