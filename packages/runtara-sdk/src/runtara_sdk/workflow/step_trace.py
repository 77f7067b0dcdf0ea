"""The trace of each step in debug mode: what it was given, what came of it, and the breakpoints that were reached."""

from __future__ import annotations

from typing import Any

from runtara_sdk.clock import Clock
from runtara_sdk.workflow.events import RunEvents
from runtara_sdk.workflow.json_text import encode_json
from runtara_sdk.workflow.mapping import mapping_json
from runtara_sdk.workflow.redaction import redact
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.steps.base import Step

MAXIMUM_BYTES = 10_240
"""Longer inputs and outputs are shown by their beginning."""

_PREVIEW_BYTES = 10_220


class StepTrace:
    """Traces the steps of one graph run, those of the types that are traced."""

    def __init__(self, events: RunEvents, scope: Scope, clock: Clock) -> None:
        self._events = events
        self._scope = scope
        self._clock = clock

    async def step_started(self, step: Step, inputs: Any) -> int:
        """Emit `step_debug_start`; returns the time for `step_ended`."""
        now_ms = self._clock.now_ms()
        if step.is_traced:
            await self._events.emit("step_debug_start", lambda: self._place(step, now_ms) | _given(step, inputs))
        return now_ms

    async def step_ended(self, step: Step, started_at_ms: int, outputs: Any) -> None:
        """Emit `step_debug_end`."""
        if step.is_traced:
            now_ms = self._clock.now_ms()
            await self._events.emit(
                "step_debug_end",
                lambda: (
                    self._place(step, now_ms)
                    | {"outputs": shorten(redact(outputs)), "duration_ms": max(0, now_ms - started_at_ms)}
                ),
            )

    async def breakpoint_hit(self, step: Step, key: str) -> None:
        """Append `breakpoint_hit`, once for each breakpoint: whoever waits for it must not miss it."""
        await self._events.append_once("breakpoint_hit", self._place(step, self._clock.now_ms()), key)

    def _place(self, step: Step, now_ms: int) -> dict[str, Any]:
        scope_id, parent_scope_id = self._scope.scope_id, self._scope.parent_scope_id
        if step.is_container:
            scope_id, parent_scope_id = self._scope.container_id(step.id), scope_id
        return {
            "step_id": step.id,
            "step_name": step.name,
            "step_type": step.step_type,
            "scope_id": scope_id,
            "parent_scope_id": parent_scope_id,
            "loop_indices": list(self._scope.loop_indices),
            "timestamp_ms": now_ms,
        }


def _given(step: Step, inputs: Any) -> dict[str, Any]:
    """What a step was given, and where that came from."""
    given = {"inputs": shorten(redact(step.traced_inputs(inputs)))}
    mapping = step.input_mapping
    return given if mapping is None else given | {"input_mapping": shorten(redact(mapping_json(mapping)))}


def shorten(value: Any) -> Any:
    """The value, or its beginning cut on a character when its compact JSON exceeds `MAXIMUM_BYTES`."""
    text = encode_json(value)
    if len(text) <= MAXIMUM_BYTES:
        return value
    preview = text[:_PREVIEW_BYTES].decode("utf-8", "ignore")
    return {"_truncated": True, "_original_size": len(text), "_preview": preview}
