"""The paths of the campaign: what is done to an instance, which part of the trace is which path, how it must end."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from persistent_caller import StuckError
from runtara_sdk.models import SignalType
from slot import TENANT, Slot

CONTAINER_PATHS = ("launch", "adopt", "stop")
"""Of the campaign over containers."""

PATHS = ("start", "checkpoint", "complete", "sleep", "wake", "pause", "resume", "cancel", "shutdown", "custom")

_PAYLOAD = b'"open"'
_IN_PROCESS = {"RUNTARA_SLEEP_THRESHOLD": "3600"}
_PARKED = {"RUNTARA_SLEEP_THRESHOLD": "0.1"}
_GATE_IS_NEXT = (
    r"instance@2 frame send request instance\.wait_signal|environment frame take request environment\.send_cu"
)
_SECOND_STEP = r"instance@2 frame send request instance\.get_checkpoint #2"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One course of events.

    Attributes:
        name: unique.
        program: the path that the program walks.
        drive: does to the instance what is to be done, up to its end.
        sections: (path, pattern) in order: the points from the first that matches belong to the path; None is a part
            that another scenario tries.
        launches: of the undisturbed run.
        status: at the end.
        environment: of the program.
    """

    name: str
    program: str
    drive: Callable[[Slot, Scenario], Awaitable[None]]
    sections: tuple[tuple[str | None, str], ...]
    launches: int = 1
    status: str = "completed"
    environment: Mapping[str, str] = field(default_factory=dict)

    def points(self, passed: list[str]) -> dict[str, list[str]]:
        """The points of each path among those that a run passed."""
        found: dict[str, list[str]] = {path: [] for path, _ in self.sections if path is not None}
        section = -1
        for point in passed:
            if section + 1 < len(self.sections) and re.match(self.sections[section + 1][1], point):
                section += 1
            path = self.sections[section][0] if section >= 0 else None
            if path is not None:
                found[path].append(point)
        return found


async def start(slot: Slot, scenario: Scenario) -> None:
    """Start the instance, as often as it takes to get an answer."""
    template = slot.template
    variables = {
        "RUNTARA_HEARTBEAT_INTERVAL_MS": "0",
        "RUNTARA_SIGNAL_POLL_INTERVAL_MS": "100",
        **slot.program_variables,
        **scenario.environment,
    }
    async with slot.caller() as persist:
        answer, _ = await persist(
            lambda sdk: sdk.start_instance(
                template.image_id,
                TENANT,
                instance_id=slot.instance_id,
                input_envelope={"path": scenario.program},
                env=variables,
            )
        )
    _require(answer)


async def ended(slot: Slot) -> None:
    """Wait until nothing goes on any more: the instance has ended, and no launch or dead owner is remembered."""

    async def is_terminal() -> bool:
        rows = await slot.rows("SELECT status FROM instances WHERE instance_id = {id}")
        return bool(rows) and rows[0]["status"] in ("completed", "failed", "cancelled")

    async def is_forgotten() -> bool:
        pid = slot.pid_of("environment")
        launches = await slot.rows("SELECT epoch FROM launches")
        owners = await slot.rows("SELECT owner FROM launch_owners")
        return not launches and pid is not None and len(owners) == 1 and f"/{pid}/" in owners[0]["owner"]

    await slot.until(is_terminal, "the end of the instance")
    await slot.until(is_forgotten, "launches and owners that are forgotten")


async def suspended(slot: Slot, reason: str, *, without_process: bool) -> None:
    """Wait until the instance is suspended for a reason, and on demand until its process is gone."""

    async def is_suspended() -> bool:
        rows = await slot.rows("SELECT status, termination_reason FROM instances WHERE instance_id = {id}")
        return bool(rows) and (rows[0]["status"], rows[0]["termination_reason"]) == ("suspended", reason)

    async def is_gone() -> bool:
        return not await slot.rows("SELECT epoch FROM launches")

    await slot.until(is_suspended, f"an instance that is suspended: {reason}")
    if without_process:
        await slot.until(is_gone, "the end of the suspended process")


async def waiting(slot: Slot) -> None:
    """Wait until the program waits at its gate."""

    async def waits() -> bool:
        return bool(await slot.rows("SELECT wake_at_ms FROM sleeps WHERE instance_id = {id}"))

    await slot.until(waits, "a program that waits")


async def send(slot: Slot, signal_type: SignalType) -> None:
    """Send a signal; a refusal of the repetition of a call that may have been obeyed is an answer, too."""
    async with slot.caller() as persist:
        answer, repeated = await persist(lambda sdk: sdk.send_signal(slot.instance_id, signal_type))
    if not repeated:
        _require(answer)
    elif signal_type is SignalType.SHUTDOWN:
        # The first one may have been obeyed before the second one came: each ends a process.
        slot.repeated_shutdown = True


async def open_gate(slot: Slot) -> None:
    """Send the custom signal that the program waits for."""
    async with slot.caller() as persist:
        answer, repeated = await persist(lambda sdk: sdk.send_custom_signal(slot.instance_id, "gate", _PAYLOAD))
    if not repeated:
        _require(answer)


def _require(answer: Any) -> None:
    if isinstance(answer, Exception):
        raise StuckError(f"a call was refused: {answer}")


async def _run_through(slot: Slot, scenario: Scenario) -> None:
    slot.plan.arm()
    await start(slot, scenario)
    await ended(slot)


async def _interrupt(slot: Slot, scenario: Scenario, *, armed: SignalType) -> None:
    """Cancel, or pause and resume, a program that waits in its process; points count from the signal `armed` on."""
    await start(slot, scenario)
    await waiting(slot)
    if armed is not SignalType.RESUME:
        slot.plan.arm()
    await send(slot, SignalType.CANCEL if armed is SignalType.CANCEL else SignalType.PAUSE)
    if armed is not SignalType.CANCEL:
        # Resumed when the paused process is gone, or while it may still be on its way out.
        await suspended(slot, "paused", without_process=armed is SignalType.PAUSE)
        if armed is SignalType.RESUME:
            slot.plan.arm()
        await send(slot, SignalType.RESUME)
        await open_gate(slot)
    await ended(slot)


async def _shut_down(slot: Slot, scenario: Scenario) -> None:
    await start(slot, scenario)
    await waiting(slot)
    slot.plan.arm()
    await send(slot, SignalType.SHUTDOWN)

    async def is_launched_again() -> bool:
        rows = await slot.rows("SELECT epoch, status FROM instances WHERE instance_id = {id}")
        waiting = await slot.rows(
            "SELECT id FROM pending_signals WHERE instance_id = {id} AND acknowledged_at_ms IS NULL"
        )
        return rows[0]["epoch"] > 1 and rows[0]["status"] == "running" and not waiting

    await slot.until(is_launched_again, "a new launch after the shutdown")
    await open_gate(slot)
    await ended(slot)


async def _wake_by_signal(slot: Slot, scenario: Scenario) -> None:
    slot.plan.arm()
    await start(slot, scenario)
    await suspended(slot, "waiting_signal", without_process=True)
    await open_gate(slot)
    await ended(slot)


async def _adopt(slot: Slot, scenario: Scenario) -> None:
    """Kill the environment while the program waits; points count from then on."""
    await start(slot, scenario)
    await waiting(slot)
    slot.plan.arm()
    await slot.kill_environment()
    await open_gate(slot)
    await ended(slot)


async def _stop(slot: Slot, scenario: Scenario) -> None:
    """Stop a program that waits, without a grace."""
    await start(slot, scenario)
    await waiting(slot)
    slot.plan.arm()
    async with slot.caller() as persist:
        answer, repeated = await persist(lambda sdk: sdk.stop_instance(slot.instance_id, grace_period_seconds=0))
    if not repeated:
        _require(answer)
    await ended(slot)


CONTAINER_SCENARIOS = (
    Scenario("launch", "steps", _run_through, (("launch", ""),)),
    Scenario("adopt", "gate", _adopt, (("adopt", ""),), environment=_IN_PROCESS),
    Scenario("stop", "gate", _stop, (("stop", ""),), status="cancelled", environment=_IN_PROCESS),
)

SCENARIOS = (
    Scenario(
        "steps",
        "steps",
        _run_through,
        (
            ("start", ""),
            ("checkpoint", r"instance@1 frame send request instance\.checkpoint #1"),
            ("complete", r"instance@1 frame send request instance\.instance_event:completed"),
        ),
    ),
    Scenario(
        "sleep",
        "sleep",
        _run_through,
        (
            ("sleep", r"instance@1 frame send request instance\.sleep"),
            ("wake", r"environment sql remove launch: COMMIT #1"),
            (None, _SECOND_STEP),
        ),
        launches=2,
        environment=_PARKED,
    ),
    Scenario(
        "pause",
        "gate",
        partial(_interrupt, armed=SignalType.PAUSE),
        (("pause", ""), (None, r"environment frame take request environment\.resume_instance")),
        launches=2,
        environment=_IN_PROCESS,
    ),
    Scenario(
        "resume",
        "gate",
        partial(_interrupt, armed=SignalType.RESUME),
        (("resume", ""), (None, _GATE_IS_NEXT)),
        launches=2,
        environment=_IN_PROCESS,
    ),
    Scenario(
        "cancel",
        "gate",
        partial(_interrupt, armed=SignalType.CANCEL),
        (("cancel", ""),),
        status="cancelled",
        environment=_IN_PROCESS,
    ),
    Scenario(
        "shutdown",
        "gate",
        _shut_down,
        (("shutdown", ""), (None, _GATE_IS_NEXT)),
        launches=2,
        environment=_IN_PROCESS,
    ),
    Scenario(
        "custom",
        "gate",
        _wake_by_signal,
        (("custom", r"instance@1 frame send request instance\.wait_signal"), (None, _SECOND_STEP)),
        launches=2,
        environment=_PARKED,
    ),
)
