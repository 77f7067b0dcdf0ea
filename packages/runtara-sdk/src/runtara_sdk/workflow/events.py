"""Custom events of a run: log lines, errors that a scenario raises, and requests for answers.

Most inform people; a failure to send one never fails the run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError
from runtara_sdk.workflow.json_text import encode_json
from runtara_sdk.workflow.redaction import redact

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk
    from runtara_sdk.workflow.failures import StepFailedError

_INPUT_REQUESTED = "external_input_requested"


class RunEvents:
    """Sends the events of one graph run."""

    def __init__(self, sdk: RuntaraSdk, clock: Clock) -> None:
        self._sdk = sdk
        self._clock = clock

    async def log(self, step_id: str, step_name: str, level: str, message: str, context: dict[str, Any]) -> None:
        """Emit `workflow_log`."""
        await self.emit(
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
        await self.emit(
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
        await self.append_once(_INPUT_REQUESTED, request, signal_id)

    async def append_once(self, subtype: str, payload: dict[str, Any], occasion: str) -> None:
        """Append an event that must not get lost, once for each occasion; raises `RuntaraError`."""
        await self._sdk.custom_event(subtype, encode_json(payload), event_key=f"{subtype}:{occasion}")

    async def emit(self, subtype: str, payload: Callable[[], dict[str, Any]]) -> None:
        """Send an event of which `payload` makes the JSON; a failure to do so is told on standard error alone."""
        try:
            await self._sdk.custom_event(subtype, encode_json(payload()))
        except (RuntaraError, ValueError, RecursionError) as error:
            with suppress(OSError):
                print(f"warning: event {subtype} was not sent: {error}", file=sys.stderr)  # noqa: T201
