from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from runtara_agents_transform import transform_agent
from runtara_sdk.agents import AgentError

README = Path(__file__).parents[1] / "README.md"


async def _mapped(**inputs: Any) -> Any:
    return await transform_agent.invoke("map-fields", inputs)


@pytest.mark.parametrize(
    ("source", "mappings", "result"),
    [
        ({"n": {"f": "Al"}}, {"n.f": "first", "x": "y"}, {"first": "Al"}),
        ({"items": [{"sku": 1}, {"sku": 2}]}, {"items.1.sku": "second", "items.9.sku": "tenth"}, {"second": 2}),
        ({"a": 1}, {"$.a": "b"}, {"b": 1}),
        ({"a": 1}, {"": "all"}, {"all": {"a": 1}}),
        (
            {"a": None, "b": False, "c": 0, "d": ""},
            {"a": "a", "b": "b", "c": "c", "d": "d"},
            {"b": False, "c": 0, "d": ""},
        ),
        ({"a": 1}, {"a": "x.y"}, {"x.y": 1}),
        ("text", {"0": "x", "length": "y"}, {}),
        ([1, 2], {"-1": "last", "1": "second", "²": "odd"}, {"second": 2}),
        (None, {"a": "b"}, {}),
        ({"a": 1}, {}, {}),
    ],
)
async def test_mappings(source: Any, mappings: dict[str, str], result: dict[str, Any]) -> None:
    assert await _mapped(source_data=source, mappings=mappings) == {"result": result, "field_count": len(result)}


async def test_mapping_by_target() -> None:
    assert (await _mapped(source={"a": {"b": 1}}, mapping={"x": "$.a.b", "y": "a"}))["result"] == {
        "x": 1,
        "y": {"b": 1},
    }


@pytest.mark.parametrize(("source", "count"), [({"a": 1, "b": None}, 2), ([1], 0), (None, 0), ("x", 0)])
async def test_a_source_alone_passes_through(source: Any, count: int) -> None:
    assert await _mapped(source=source) == {"result": source, "field_count": count}


async def test_templates_are_refused() -> None:
    with pytest.raises(AgentError, match="is a template") as caught:
        await _mapped(source={}, mapping={"x": "{{ a }}"})
    assert caught.value.code == "TRANSFORM_INVALID_PATH"


async def test_the_source_is_required() -> None:
    with pytest.raises(AgentError, match="source_data"):
        await _mapped(mappings={})


def test_the_readme_example_prints_what_it_says() -> None:
    [program] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    [printed] = re.findall(r"```text\n(.*?)```", README.read_text(), re.DOTALL)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(program, str(README), "exec"), {})
    assert output.getvalue() == printed
