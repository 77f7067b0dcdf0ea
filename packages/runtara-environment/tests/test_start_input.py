"""What a start accepts as input, before anything is created, and where a local run keeps its database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from runtara_core.database import DatabaseUrl
from runtara_environment.inputs import InputJudge
from runtara_environment.inputs.input_judge import _is_small
from runtara_environment.inputs.judgement import require_acceptable
from runtara_environment.local import default_database_url
from runtara_environment.service import is_other_json
from runtara_environment.settings import InputCheckSettings
from runtara_sdk.errors import InputRefusedError, InvalidInputError, ServerError

SCHEMA = json.dumps({"who": {"type": "string", "required": True}, "n": {"type": "integer", "min": 1}})
PATTERN = json.dumps({"who": {"type": "string", "required": True, "pattern": "^A"}})
ENDLESS = json.dumps({"who": {"type": "string", "pattern": "^(a+)+$"}})


def padded(text: bytes) -> bytes:
    """The same value, so long that a process judges it."""
    return text + b" " * 70_000


@pytest.mark.parametrize("schema", [None, SCHEMA])
@pytest.mark.parametrize(
    "text", [b"{", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"\xff", b"[" * 100_000, b"9" * 5_000]
)
async def test_what_no_program_could_read_is_refused(text: bytes, schema: str | None) -> None:
    with pytest.raises(InvalidInputError, match=r"^the input ") as caught:
        await InputJudge().require_acceptable(text, schema, "t")
    assert len(caught.value.message) < 300


async def test_a_program_without_a_schema_takes_any_json() -> None:
    for text in (b"[1]", b"null", b'{ "a": 1.50 }', padded(b"[1]")):
        await InputJudge().require_acceptable(text, None, "t")


@pytest.mark.parametrize("in_process", [False, True])
async def test_all_that_does_not_fit_is_listed_with_its_path(in_process: bool) -> None:
    text = b'{"data": {"who": 5, "n": 0}}'
    with pytest.raises(InputRefusedError) as caught:
        await InputJudge().require_acceptable(padded(text) if in_process else text, SCHEMA, "t")
    error = caught.value
    assert [each["path"] for each in error.violations] == ["data.who", "data.n"]
    assert (error.code, error.violation_count) == ("VALIDATION_ERROR", 2)
    assert error.message.startswith("the input does not fit its schema: data.who must be a string, found 5; data.n ")


@pytest.mark.parametrize("text", [b'{"who": "Ada"}', padded(b'{"data": {"who": "Ada", "n": 2}, "variables": {}}')])
@pytest.mark.parametrize("schema", [SCHEMA, PATTERN])
async def test_what_fits_is_accepted(text: bytes, schema: str) -> None:
    await InputJudge().require_acceptable(text, schema, "t")


async def test_a_long_input_that_fits_leaves_no_trace_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await InputJudge().require_acceptable(padded(b'{"all": []}'), None, "t")
    assert caplog.messages == []


async def test_more_violations_than_are_listed_are_counted() -> None:
    schema = json.dumps({"all": {"type": "array", "items": {"type": "string"}}})
    with pytest.raises(InputRefusedError, match=r"and 240 more$") as caught:
        await InputJudge().require_acceptable(json.dumps({"all": [1] * 250}).encode(), schema, "t")
    assert (len(caught.value.violations), caught.value.violation_count) == (100, 250)


async def turns_of_others(judging: Coroutine[Any, Any, None]) -> int:
    """How often somebody else came to the event loop meanwhile."""
    turns = 0

    async def look() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    await judging
    looking.cancel()
    return turns


async def test_a_pattern_without_end_holds_up_nobody() -> None:
    text = json.dumps({"who": "a" * 40 + "b"}).encode()
    judging = InputJudge(seconds=1.0).require_acceptable(text, ENDLESS, "t")  # left to the program
    assert await turns_of_others(judging) > 5


async def test_a_schema_of_many_fields_holds_up_nobody() -> None:
    fields = {f"f{number}": {"type": "integer", "enum": [number]} for number in range(20_000)}
    schema = json.dumps(fields)
    assert _is_small(b"{}", schema)
    assert await turns_of_others(InputJudge().require_acceptable(b"{}", schema, "t")) > 3


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ({"type": "string", "enum": ["x" * 20_000] * 20}, 1),
        ({"type": "integer", "enum": ["x" * 20_000] * 20}, 1),
        ({"type": "object", "properties": {"all": {"type": "array", "default": [[]] * 5_000}}}, {}),
    ],
)
def test_each_element_costs_no_more_than_itself(item: dict[str, Any], value: object) -> None:
    schema = json.dumps({"all": {"type": "array", "items": item}})
    before = time.process_time()
    with contextlib.suppress(InputRefusedError):
        require_acceptable(json.dumps({"all": [value] * 5_000}).encode(), schema)
    assert time.process_time() - before < 2.0


def test_a_repeated_start_is_compared_by_value_while_its_input_is_short() -> None:
    assert not is_other_json(b'{"a": 1, "b": [100.0]}', b'{"b": [1e2], "a": 1.0}')
    assert is_other_json(b'{"a": 1}', b'{"a": 2}')
    long = b"[" + b"[]," * 1_000_000 + b"1]"
    assert not is_other_json(long, bytes(bytearray(long)))
    before = time.process_time()
    for one, other in ((b"{}", long), (long, b"{}"), (long, long + b" ")):
        assert is_other_json(one, other)
    assert time.process_time() - before < 0.2


def test_where_memory_is_short_a_check_ends_before_a_daemon() -> None:
    command = [sys.executable, "-m", "runtara_environment.inputs.judge_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b'{"schema": null, "memory_bytes": 1073741824, "cpu_seconds": 60}\n')
        process.stdin.flush()
        adjustment = Path(f"/proc/{process.pid}/oom_score_adj")
        give_up = time.monotonic() + 60
        while adjustment.read_text(encoding="ascii").strip() != "1000":
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert process.communicate(b"1")[0] == b'{"refused": null}'


async def test_too_many_checks_at_once_are_refused_for_a_while() -> None:
    judge = InputJudge(InputCheckSettings(max_checks=1), seconds=1.0)
    judge._slots._max_waiting = 0
    text = json.dumps({"who": "a" * 40 + "b"}).encode()
    first = asyncio.create_task(judge.require_acceptable(text, ENDLESS, "t"))
    await asyncio.sleep(0)
    with pytest.raises(ServerError) as caught:
        await judge.require_acceptable(text, ENDLESS, "t")
    assert (caught.value.code, caught.value.retryable) == ("TOO_MANY_STARTS", True)
    await first


@pytest.mark.parametrize("schema", ["[]", '{"who": 1}', '{"who": {"type": "colour"}}', '{"who": {"pattern": "("}}'])
async def test_a_schema_of_another_version_leaves_the_judgement_to_the_program(schema: str) -> None:
    await InputJudge().require_acceptable(b'{"who": 1}', schema, "t")


@pytest.mark.parametrize(
    "name", ["plain", "a b", "a%20b", "q?x=1", "h#y", "\u00fc \u00f1", "it's", "a:b", "two\nlines"]
)
def test_a_data_directory_of_any_name_has_its_own_database(tmp_path: Path, name: str) -> None:
    parsed = DatabaseUrl.parse(default_database_url(tmp_path / name))
    assert parsed.path == tmp_path / name / "runtara.db"
