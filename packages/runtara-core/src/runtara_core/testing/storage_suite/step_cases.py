"""Summaries of steps and scopes, as programs in debug mode trace them; and what events say of scopes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import EventType

from runtara_core.models import EventFilter, LeaseKey
from runtara_core.steps import MAX_ANCESTORS, MAX_TRACE_ID_BYTES, ScopeInfo, StepFilter, StepStatus, StepSummary
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import START_MS, launched, report

INSTANCE = "managed-1"


async def trace(storage: Storage, key: LeaseKey, subtype: str, step_id: str, *, at: int = 0, **fields: Any) -> None:
    """Report one event of a step, as a program does."""
    payload = {"step_id": step_id, "step_type": "Agent", "scope_id": None, "parent_scope_id": None, **fields}
    await report(storage, key, EventType.CUSTOM, json.dumps(payload).encode(), subtype=subtype, now_ms=START_MS + at)


async def start(storage: Storage, key: LeaseKey, step_id: str, *, at: int = 0, **fields: Any) -> None:
    """A step begins."""
    await trace(storage, key, "step_debug_start", step_id, at=at, **fields)


async def end(storage: Storage, key: LeaseKey, step_id: str, *, at: int = 0, **fields: Any) -> None:
    """A step ends."""
    await trace(storage, key, "step_debug_end", step_id, at=at, **fields)


async def steps(storage: Storage, **where: Any) -> list[StepSummary]:
    """The steps of a page."""
    return list((await storage.list_step_summaries(INSTANCE, StepFilter(**where))).steps)


async def ids(storage: Storage, **where: Any) -> list[str]:
    """Their ids."""
    return [step.step_id for step in await steps(storage, **where)]


async def run_a_loop(storage: Storage, key: LeaseKey) -> None:
    """`first`, then a loop with two passes of a step `inner`, in which a child runs `leaf`."""
    await start(storage, key, "first", at=1)
    await end(storage, key, "first", at=2, outputs={"n": 1})
    await start(storage, key, "loop", at=3, scope_id="sc_loop", step_type="Split", step_name="The loop")
    for number in range(2):
        scope = {"scope_id": f"sc_loop_{number}", "parent_scope_id": "sc_loop"}
        await start(storage, key, "inner", at=4 + number, loop_indices=[number], **scope)
        child = {"scope_id": f"sc_loop_{number}_child", "parent_scope_id": f"sc_loop_{number}"}
        await start(storage, key, "child", at=6 + number, step_type="StartScenario", **child)
        await start(storage, key, "leaf", at=8 + number, **child)


class StepCases:
    """`list_step_summaries`, `get_scope_ancestors`, and the scopes of `list_events`."""

    async def test_a_step_is_summarized_from_its_start_and_its_end(self, storage: Storage) -> None:
        key = await launched(storage)
        await start(storage, key, "pay", step_name="Pay", inputs={"amount": 3}, at=10)
        (running,) = await steps(storage)
        assert running == StepSummary(
            position=running.position,
            step_id="pay",
            step_name="Pay",
            step_type="Agent",
            status=StepStatus.RUNNING,
            started_at_ms=START_MS + 10,
            inputs=b'{"amount": 3}',
        )
        # Longer than a minute, and measured by the program.
        await end(storage, key, "pay", outputs=[1], duration_ms=83_456, at=90_000)
        (completed,) = await steps(storage)
        assert (completed.status, completed.duration_ms) == (StepStatus.COMPLETED, 83_456)
        assert (completed.completed_at_ms, completed.outputs, completed.error) == (START_MS + 90_000, b"[1]", None)
        assert (completed.inputs, completed.position) == (b'{"amount": 3}', running.position)

    async def test_a_duration_that_was_not_measured_is_the_time_between(self, storage: Storage) -> None:
        key = await launched(storage)
        for step_id, told in (("a", {}), ("b", {"duration_ms": "soon"}), ("c", {"duration_ms": -1})):
            await start(storage, key, step_id, at=0)
            await end(storage, key, step_id, at=61_000, **told)
        assert [step.duration_ms for step in await steps(storage)] == [61_000] * 3

    @pytest.mark.parametrize(
        ("told", "error"),
        [
            ({"error": "no"}, b'"no"'),
            ({"error": {"code": "X"}, "outputs": 1}, b'{"code": "X"}'),
            ({"outputs": {"_error": True, "error": {"code": "Y"}}}, b'{"code": "Y"}'),
            ({"outputs": {"_error": True, "code": "Z"}}, b'{"code": "Z"}'),
        ],
    )
    async def test_an_end_with_an_error_is_a_failure(self, storage: Storage, told: Any, error: bytes) -> None:
        key = await launched(storage)
        await start(storage, key, "pay")
        await end(storage, key, "pay", **told)
        (failed,) = await steps(storage)
        assert (failed.status, failed.error, failed.outputs) == (StepStatus.FAILED, error, None)

    async def test_repeats_of_a_step_do_not_multiply(self, storage: Storage) -> None:
        key = await launched(storage)
        await start(storage, key, "pay", at=1)
        await start(storage, key, "pay", at=5, inputs="again")  # the first process was killed in it
        await end(storage, key, "pay", at=6, outputs="done")
        (first,) = await steps(storage)
        assert (first.started_at_ms, first.duration_ms, first.inputs) == (START_MS + 5, 1, b'"again"')
        await start(storage, key, "pay", at=7, inputs="recorded")  # another process found it recorded
        await end(storage, key, "pay", at=8, outputs="other")
        assert await steps(storage) == [first]

    async def test_a_step_that_failed_may_run_again(self, storage: Storage) -> None:
        key = await launched(storage)
        await start(storage, key, "a")
        await start(storage, key, "b")
        await end(storage, key, "a", error="no")
        await end(storage, key, "a", outputs=1)  # without a start it ends nothing
        assert [step.status for step in await steps(storage)] == ["failed", "running"]
        await start(storage, key, "a", at=3)
        assert [(step.step_id, step.status) for step in await steps(storage)] == [("a", "running"), ("b", "running")]
        await end(storage, key, "a", at=4, outputs=1)
        assert [step.status for step in await steps(storage)] == ["completed", "running"]

    async def test_what_is_no_trace_spoils_no_list(self, storage: Storage) -> None:
        key = await launched(storage)
        await start(storage, key, "good", scope_id="sc_x_0", parent_scope_id="sc_x")
        long, lone = "x" * (MAX_TRACE_ID_BYTES + 1), "\ud800"
        for payload in (b"", b"\xff\x00", b"no JSON", b"[1]", b"null", b"9" * 5_000, b"[" * 50_000):
            for subtype in ("step_debug_start", "step_debug_end", "note"):
                await report(storage, key, EventType.CUSTOM, payload, subtype=subtype)
        for wrong in (long, lone, "nul\0nul", "", 7, None, ["a"]):
            await start(storage, key, wrong)  # type: ignore[arg-type]  # what programs may send
        for wrong in (long, lone, "nul\0nul", 7):
            await start(storage, key, "step", scope_id=wrong)
            await start(storage, key, "step", parent_scope_id=wrong)
        await end(storage, key, "never-started")
        assert await ids(storage) == ["good"]
        assert await storage.get_scope_ancestors(INSTANCE, "sc_x_0") != []
        assert (await storage.list_events(INSTANCE, EventFilter(scope_id="sc_x_0"))).total_count == 1
        assert (await storage.list_events(INSTANCE, EventFilter(payload_contains="no json"))).total_count == 3

    async def test_steps_are_listed_by_filter(self, storage: Storage) -> None:
        await run_a_loop(storage, await launched(storage))
        everything = ["first", "loop", "inner", "child", "leaf", "inner", "child", "leaf"]
        assert await ids(storage) == everything
        assert await ids(storage, descending=True) == everything[::-1]
        assert await ids(storage, status=StepStatus.COMPLETED) == ["first"]
        assert await ids(storage, step_type="StartScenario") == ["child", "child"]
        assert await ids(storage, scope_id="sc_loop_1") == ["inner"]
        assert await ids(storage, scope_id="sc_loop_1_child") == ["child", "leaf"]
        assert await ids(storage, scope_id="sc_loop_1_child", step_type="Agent") == ["leaf"]
        assert await ids(storage, parent_scope_id="sc_loop") == ["inner", "inner"]
        assert await ids(storage, root_scopes_only=True) == ["first", "loop"]
        assert await ids(storage, scope_id="nowhere") == []
        page = await storage.list_step_summaries(INSTANCE, StepFilter(step_type="Agent", limit=2, offset=1))
        assert ([step.step_id for step in page.steps], page.total_count) == (["inner", "leaf"], 5)
        page = await storage.list_step_summaries(INSTANCE, StepFilter(limit=1, without_total=True))
        assert (len(page.steps), page.total_count) == (1, 0)
        assert (await storage.list_step_summaries("nobody", StepFilter())).total_count == 0
        for wrong in ({"limit": -1}, {"offset": -1}):
            with pytest.raises(InvalidInputError):
                await ids(storage, **wrong)

    @pytest.mark.parametrize("descending", [False, True])
    async def test_a_page_begins_behind_a_step(self, storage: Storage, descending: bool) -> None:
        key = await launched(storage)
        for number in range(5):
            await start(storage, key, f"step-{number}")
        paged: list[str] = []
        after: int | None = None
        while page := await steps(storage, descending=descending, after_position=after, limit=2):
            paged += [step.step_id for step in page]
            after = page[-1].position
            for step_id in ("step-0", "step-4"):  # a step that begins anew keeps its place
                await start(storage, key, step_id)
        expected = [f"step-{number}" for number in range(5)]
        assert paged == (expected[::-1] if descending else expected)

    async def test_scopes_are_walked_outwards(self, storage: Storage) -> None:
        await run_a_loop(storage, await launched(storage))
        assert await storage.get_scope_ancestors(INSTANCE, "sc_loop_1_child") == [
            ScopeInfo("sc_loop_1_child", "sc_loop_1", "child", "StartScenario", START_MS + 7),
            ScopeInfo("sc_loop_1", "sc_loop", "loop", "Split", START_MS + 5, step_name="The loop", index=1),
            ScopeInfo("sc_loop", None, "loop", "Split", START_MS + 3, step_name="The loop"),
        ]
        for unknown in ("nowhere", "", "nul\0nul"):
            assert await storage.get_scope_ancestors(INSTANCE, unknown) == []
        assert await storage.get_scope_ancestors("nobody", "sc_loop") == []

    async def test_scopes_within_each_other_end_the_walk(self, storage: Storage) -> None:
        key = await launched(storage)
        await start(storage, key, "a", scope_id="x", parent_scope_id="y")
        await start(storage, key, "b", scope_id="y", parent_scope_id="x")
        await start(storage, key, "c", scope_id="z", parent_scope_id="z")
        assert [scope.scope_id for scope in await storage.get_scope_ancestors(INSTANCE, "x")] == ["x", "y"]
        assert [scope.scope_id for scope in await storage.get_scope_ancestors(INSTANCE, "z")] == ["z"]
        for number in range(MAX_ANCESTORS + 5):
            await start(storage, key, "d", scope_id=f"deep-{number}", parent_scope_id=f"deep-{number + 1}")
        assert len(await storage.get_scope_ancestors(INSTANCE, "deep-0")) == MAX_ANCESTORS

    async def test_events_are_listed_by_scope(self, storage: Storage) -> None:
        key = await launched(storage)
        await run_a_loop(storage, key)
        await trace(storage, key, "breakpoint_hit", "inner", scope_id="sc_loop_0", parent_scope_id="sc_loop")

        async def subtypes(**where: Any) -> list[str]:
            page = await storage.list_events(INSTANCE, EventFilter(ascending=True, **where))
            assert page.total_count == len(page.events)
            return [event.subtype or event.event_type for event in page.events]

        assert await subtypes(scope_id="sc_loop_0") == ["step_debug_start", "breakpoint_hit"]
        assert await subtypes(parent_scope_id="sc_loop") == ["step_debug_start"] * 2 + ["breakpoint_hit"]
        assert await subtypes(root_scopes_only=True) == [
            "started",
            "step_debug_start",
            "step_debug_end",
            "step_debug_start",
        ]

    @pytest.mark.parametrize("ascending", [False, True])
    async def test_events_are_found_by_text_and_page(self, storage: Storage, ascending: bool) -> None:
        key = await launched(storage)
        payloads = [b'{"note": "One \xc3\x84pfel"}', b"one \xff", b"\x00 ONE", b"two", b"", b"303 \\303"]
        for payload in payloads:
            await report(storage, key, EventType.CUSTOM, payload)

        async def found(text: str, **where: Any) -> list[bytes | None]:
            page = await storage.list_events(
                INSTANCE, EventFilter(event_type="custom", payload_contains=text, ascending=ascending, **where)
            )
            return [event.payload for event in page.events]

        one = payloads[:3] if ascending else payloads[2::-1]
        assert await found("oNe") == one
        assert await found("oNe", limit=1, offset=1) == one[1:2]
        assert await found("\u00e4PFEL") == payloads[:1]
        assert await found("303") == payloads[5:]
        assert await found("three") == []
        assert len(await found("")) == 6

        async def page(key_of_last: int | None) -> list[int]:
            key = {"after_event_id" if ascending else "before_event_id": key_of_last}
            # One of the two keys, which are numbers.
            where = EventFilter(event_type="custom", ascending=ascending, limit=4, without_total=True, **key)  # type: ignore[arg-type]
            listed = await storage.list_events(INSTANCE, where)
            assert listed.total_count == 0
            return [event.event_id for event in listed.events]

        first = await page(None)
        second = await page(first[-1])
        assert (len(first), len(second)) == (4, 2)
        assert sorted(first + second, reverse=not ascending) == first + second
