"""Decimals that keep the text that they were written with."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, CapabilityContext, agent, capability
from runtara_sdk.workflow.coercion import CoercionError, coerce
from runtara_sdk.workflow.conditions import immediate_operation
from runtara_sdk.workflow.grouping import group_items
from runtara_sdk.workflow.json_text import decode_json, encode_json
from runtara_sdk.workflow.templates import template
from runtara_sdk.written_decimal import WrittenDecimal, dump_json, exact_number, read_decimal

NUMBERS = (
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})\.[0-9]{1,40}", fullmatch=True)
    | st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?[eE][+-]?[0-9]{1,2}", fullmatch=True)
    | st.integers(min_value=-(10**40), max_value=10**40).map(str)
)


@given(NUMBERS, st.sampled_from(["%s", '{"a":[%s,"x"]}', '[{"b":%s},1.5]']))
def test_a_number_is_written_as_it_was_read(number: str, around: str) -> None:
    text = around % number
    assert encode_json(decode_json(text)).decode() == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_a_double_prints_itself_stays_a_double(value: float) -> None:
    assert type(decode_json(json.dumps(value))) is float


@given(NUMBERS)
def test_it_calculates_as_the_double(number: str) -> None:
    value = decode_json(number)
    assert value == float(number) or isinstance(value, int)
    assert exact_number(value) == Decimal(number)
    assert hash(value) == hash(float(number)) or isinstance(value, int)


def test_a_copy_keeps_the_text() -> None:
    value = {"a": WrittenDecimal("1.10")}
    for copied in (copy.deepcopy(value), copy.copy(value), pickle.loads(pickle.dumps(value))):
        assert dump_json(copied) == '{"a": 1.10}'
    assert f"{value['a']}" == repr(value["a"]) == "1.10"


def test_options_of_the_writer_hold() -> None:
    value = {"z": WrittenDecimal("2.00"), "a": "\N{SNOWMAN}", "t": (WrittenDecimal("3.0e1"), 1)}
    assert dump_json(value, indent=1, sort_keys=True) == (
        '{\n "a": "\\u2603",\n "t": [\n  3.0e1,\n  1\n ],\n "z": 2.00\n}'
    )


@pytest.mark.parametrize("text", ["1e999", "-1.5e4000", "0." + "1" * 5000])
def test_what_no_double_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is out of range"):
        read_decimal(text)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("1.10", "number", "1.10"),
        (WrittenDecimal("1.10"), "number", "1.10"),
        (WrittenDecimal("1.10"), "string", '"1.10"'),
        (WrittenDecimal("12345678901234567890.99"), "integer", "12345678901234567890"),
        (9_007_199_254_740_993, "number", "9007199254740993"),
        ("9007199254740993", "number", "9007199254740993"),
        (3, "number", "3.0"),
        (".5", "number", "0.5"),
        (WrittenDecimal("0.0"), "boolean", "false"),
    ],
)
def test_type_hints_keep_what_was_written(value: Any, hint: str, expected: str) -> None:
    assert dump_json(coerce(value, hint)) == expected


def test_a_text_beyond_all_doubles_is_no_number() -> None:
    with pytest.raises(CoercionError):
        coerce("1e999", "number")


@pytest.mark.parametrize(
    ("operator", "left", "right", "holds"),
    [
        ("EQ", "1.10", 1.1, True),
        ("EQ", "110.10", 110.1, True),
        ("EQ", "1.10", "'1.1'", True),
        ("EQ", "2.00", 2, True),
        ("EQ", "12345678901234567890.1", "12345678901234567890.2", False),
        ("LT", "12345678901234567890.1", "12345678901234567890.2", True),
        ("GTE", "9007199254740993.00", 9_007_199_254_740_993, True),
        ("GT", "9007199254740993.01", 9_007_199_254_740_993, True),
        ("LT", "1.10", True, False),
    ],
)
def test_conditions_compare_what_was_written(operator: str, left: str, right: Any, holds: bool) -> None:
    if isinstance(right, str):
        right = right.strip("'") if right.startswith("'") else decode_json(right)
    assert immediate_operation(operator, decode_json(left), right) is holds


def test_equal_numbers_are_one_group() -> None:
    items = decode_json('[{"k":1.10},{"k":1.1},{"k":2.00},{"k":2.0},{"k":12345678901234567890.10}]')
    assert list(group_items(items, "k")) == ["1.1", "2.0", "12345678901234567890.1"]


def test_templates_print_it() -> None:
    text = "{{ data.price }} {{ data.all }} {{ data.price | tojson }} {{ data.price ~ '!' }} {{ data.price * 2 }}"
    data = decode_json('{"price":1.10,"all":[2.50]}')
    assert template(text).resolve({"data": data}) == "1.10 [2.50] 1.10 1.10! 2.2"


class Result(BaseModel):
    amount: Any
    lines: list[Any]


@dataclass
class Line:
    amount: Any


class Precise(BaseModel):
    amount: Decimal
    rate: float
    anything: Any


@agent(id="passing", category="testing")
class PassingAgent:
    """Passes on what it gets."""

    @capability()
    def pass_on(self, inputs: Precise) -> Any:
        """Pass it on."""
        line = Line(inputs.anything)
        return {"model": Result(amount=inputs.anything, lines=[line, (inputs.anything,)]), "rate": inputs.rate}

    @capability()
    def exactly(self, inputs: Precise) -> Any:
        """Say what a declared decimal is."""
        return str(inputs.amount)


async def test_agents_get_and_give_it() -> None:
    definition = AgentDefinition.of(PassingAgent())
    inputs = decode_json('{"amount":12345678901234567890.10,"rate":2.50,"anything":1.10}')
    result = await definition.invoke("pass-on", inputs, CapabilityContext())
    assert dump_json(result) == '{"model": {"amount": 1.10, "lines": [{"amount": 1.10}, [1.10]]}, "rate": 2.5}'
    assert await definition.invoke("exactly", inputs, CapabilityContext()) == "12345678901234567890.10"
