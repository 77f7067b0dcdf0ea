"""Custom events of a run: log lines, and the trace of each step in debug mode.

They inform people; a failure to send one never fails the run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError
from runtara_sdk.workflow.json_text import encode_json
from runtara_sdk.workflow.mapping import mapping_json
from runtara_sdk.workflow.redaction import redact
from runtara_sdk.workflow.scope import Scope

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk
    from runtara_sdk.workflow.failures import StepFailedError
    from runtara_sdk.workflow.steps import Step

MAXIMUM_BYTES = 10_240
"""Longer inputs and outputs are shown by their beginning."""

_PREVIEW_BYTES = 10_220
_INPUT_REQUESTED = "external_input_requested"


class RunEvents:
    """Sends the events of one graph run; `debug` switches the traces of steps on."""

    def __init__(self, sdk: RuntaraSdk, scope: Scope, clock: Clock, *, debug: bool) -> None:
        self._sdk = sdk
        self._scope = scope
        self._clock = clock
        self._debug = debug

    async def log(self, step_id: str, step_name: str, level: str, message: str, context: dict[str, Any]) -> None:
        """Emit `workflow_log`."""
        await self._emit(
            "workflow_log",
            lambda: {
                "step_id": step_id,
                "step_name": step_name,
                "level": level,
                "message": message,
                "context": redact(context),
                "timestamp_ms": self._clock.now_ms(),
            },
        )

    async def error(self, step_id: str, step_name: str, failure: StepFailedError) -> None:
        """Emit `workflow_error`."""
        shown = ("category", "code", "message", "severity")
        await self._emit(
            "workflow_error",
            lambda: {
                "step_id": step_id,
                "step_name": step_name,
                **{name: failure.details[name] for name in shown},
                "context": redact(failure.details.get("context")),
                "timestamp_ms": self._clock.now_ms(),
            },
        )

    async def input_requested(
        self,
        step_id: str,
        step_name: str,
        signal_id: str,
        response_schema: dict[str, Any],
        action: dict[str, Any] | None,
    ) -> None:
        """Append `external_input_requested`, once for each signal id; unlike the others it must not get lost."""
        request = {
            "type": _INPUT_REQUESTED,
            "signal_id": signal_id,
            "step_id": step_id,
            "step_name": step_name,
            "response_schema": response_schema or None,
            **({} if action is None else {"action": redact(action)}),
        }
        key = f"{_INPUT_REQUESTED}:{signal_id}"
        await self._sdk.custom_event(_INPUT_REQUESTED, encode_json(request), event_key=key)

    async def step_started(self, step: Step, inputs: Any) -> int:
        """Emit `step_debug_start`; returns the time for `step_ended`."""
        now_ms = self._clock.now_ms()
        if self._debug and step.is_traced:
            await self._emit("step_debug_start", lambda: self._place(step, now_ms) | _given(step, inputs))
        return now_ms

    async def step_ended(self, step: Step, started_at_ms: int, outputs: Any) -> None:
        """Emit `step_debug_end`."""
        if self._debug and step.is_traced:
            now_ms = self._clock.now_ms()
            await self._emit(
                "step_debug_end",
                lambda: (
                    self._place(step, now_ms)
                    | {"outputs": shorten(redact(outputs)), "duration_ms": max(0, now_ms - started_at_ms)}
                ),
            )

    async def breakpoint_hit(self, step: Step, key: str) -> None:
        """Append `breakpoint_hit`, once for each breakpoint: whoever waits for it must not miss it."""
        payload = self._place(step, self._clock.now_ms())
        await self._sdk.custom_event("breakpoint_hit", encode_json(payload), event_key=f"breakpoint_hit:{key}")

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

    async def _emit(self, subtype: str, payload: Callable[[], dict[str, Any]]) -> None:
        try:
            await self._sdk.custom_event(subtype, encode_json(payload()))
        except (RuntaraError, ValueError, RecursionError) as error:
            with suppress(OSError):
                print(f"warning: event {subtype} was not sent: {error}", file=sys.stderr)  # noqa: T201


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
