"""Many instances at once, each told to pause, to shut down or to end on its way, while processes die one after another.

Deaths fall into the recovery from earlier ones: daemons are killed again before they serve, and guests while they are
launched again. What must hold in the end is that of `oracles`, for every instance.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from courses import NEVER, Course, draw_course
from crash_platform import TENANT, Platform
from oracles import Ending, violations_of_storm
from persistent_caller import Persist, persistent_caller
from processes import eventually
from runtara_core.testing.postgres import PostgresServer
from runtara_sdk.errors import RuntaraError
from runtara_sdk.models import SignalType
from witness import read_witness

PROGRAM = Path(__file__).with_name("programs") / "storm.py"
VICTIMS = ("program", "program", "shim", "core", "environment", "both daemons", "everything", "database")
_MAX_RECOVERIES = 1_000_000
"""Deaths are the storm's; that an instance is given up which dies all the time is another test's."""

_DEADLINE_SECONDS = 300.0
_PAUSE_SECONDS = 0.05
_MOST_LINES = 12
_SOON_SECONDS = 0.6


class StormInstance:
    """One instance, and what happens to it."""

    def __init__(self, platform: Platform, directory: Path, name: str, course: Course) -> None:
        self.instance_id = name
        self.course = course
        self.kills = 0
        self._platform = platform
        if platform.has_containers:  # a program writes to its working directory alone
            self.directory = platform.data_dir / TENANT / "runs" / name
            self._witness_variable = "."
        else:
            self.directory = directory / name
            self.directory.mkdir()
            self._witness_variable = str(self.directory)

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """What is stored about it; `{id}` stands for the instance."""
        statement = statement.format(id=f"'{self.instance_id}'")
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            try:
                return [dict(row) for row in await self._platform.fetch(statement)]
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                if time.monotonic() > deadline:
                    raise
            # The database is dead for a while.
            await asyncio.sleep(_PAUSE_SECONDS)

    def witness(self) -> list[list[Any]]:
        """What its processes did."""
        return read_witness(self.directory)

    async def live(self, persist: Persist, image_id: str) -> None:
        """Start it, tell it what its course says, and return when it has ended."""
        env = {
            "CRASH_MODULES": str(Path(__file__).parent),
            "CRASH_WITNESS": self._witness_variable,
            "RUNTARA_HEARTBEAT_INTERVAL_MS": "0",
            "RUNTARA_SIGNAL_POLL_INTERVAL_MS": "100",
            "RUNTARA_SLEEP_THRESHOLD": "0.3",
        }
        envelope = {"course": list(self.course.parts)}
        started, _ = await persist(
            lambda sdk: sdk.start_instance(
                image_id, TENANT, instance_id=self.instance_id, input_envelope=envelope, env=env
            )
        )
        if isinstance(started, RuntaraError):
            raise started
        await asyncio.gather(self._tell(persist), self._open_gates(persist))
        await self._until(self._has_ended, "the end")

    def violations(self, ending: Ending) -> list[str]:
        """Every promise that was not kept to it."""
        course = self.course
        return violations_of_storm(ending, course.status, course.output, course.recorded, self.kills)

    async def _tell(self, persist: Persist) -> None:
        for lines, command in self.course.commands:

            async def has_come_so_far(lines: int = lines) -> bool:
                return len(self.witness()) >= lines or await self._has_ended()

            await self._until(has_come_so_far, f"{lines} lines of its witness")
            if command == "shutdown":
                await self._send(persist, SignalType.SHUTDOWN)
            elif await self._send(persist, SignalType.PAUSE):
                await self._until(self._is_paused, "the pause")
                await self._send(persist, SignalType.RESUME)
        if self.course.is_cancelled:
            await self._until(partial(self._waits_at, NEVER), "the last gate")
            await self._send(persist, SignalType.CANCEL)

    async def _open_gates(self, persist: Persist) -> None:
        for gate in sorted(self.course.gates, key=lambda gate: gate not in self.course.early):
            if gate not in self.course.early:
                await self._until(partial(self._waits_at, gate), f"the gate {gate}")
            await self._open(gate, persist)

    async def _open(self, gate: str, persist: Persist) -> None:
        answer, repeated = await persist(lambda sdk: sdk.send_custom_signal(self.instance_id, gate, gate.encode()))
        if isinstance(answer, RuntaraError) and not repeated:
            raise answer

    async def _send(self, persist: Persist, signal_type: SignalType) -> bool:
        """Send a signal; False when it came too late, or a repetition was refused."""
        answer, repeated = await persist(lambda sdk: sdk.send_signal(self.instance_id, signal_type))
        if not isinstance(answer, RuntaraError):
            return True
        if not repeated and not await self._has_ended():
            raise answer
        return False

    async def _state(self) -> tuple[str, str | None]:
        rows = await self.rows("SELECT status, termination_reason FROM instances WHERE instance_id = {id}")
        return (rows[0]["status"], rows[0]["termination_reason"]) if rows else ("unknown", None)

    async def _has_ended(self) -> bool:
        return (await self._state())[0] in ("completed", "failed", "cancelled")

    async def _is_paused(self) -> bool:
        return await self._state() == ("suspended", "paused") or await self._has_ended()

    async def _waits_at(self, gate: str) -> bool:
        rows = await self.rows(f"SELECT 1 FROM sleeps WHERE instance_id = {{id}} AND checkpoint_id = '{gate}'")
        return bool(rows) or await self._has_ended()

    async def _until(self, condition: Any, what: str) -> None:
        details = self._platform.transcript
        await eventually(condition, f"{self.instance_id}: {what}", details=details, seconds=_DEADLINE_SECONDS)


class Storm:
    """The instances on one platform, and the deaths around them."""

    def __init__(
        self, platform: Platform, directory: Path, seed: int, instances: int, server: PostgresServer | None
    ) -> None:
        self._platform = platform
        self._server = server
        self._dice = random.Random(seed)
        self.deaths: Counter[str] = Counter()
        self.instances = [
            StormInstance(platform, directory, f"{directory.name}-{seed}-{number}", draw_course(self._dice))
            for number in range(instances)
        ]

    async def run(self, deaths: int) -> dict[str, list[str]]:
        """Let everything happen; returns what was lost, by instance."""
        self._platform.max_recoveries = _MAX_RECOVERIES
        await self._platform.ensure_running()
        image_id = await self._platform.image(PROGRAM)
        settings = self._platform.management_settings()
        async with persistent_caller(settings, _DEADLINE_SECONDS) as persist:
            async with asyncio.TaskGroup() as group:
                lives = [group.create_task(each.live(persist, image_id)) for each in self.instances]
                await self._strike(deaths, lives)
            for each in self.instances:
                await self._platform.ended(each.instance_id)
        lost = {each.instance_id: each.violations(await Ending.of(each)) for each in self.instances}
        return {instance_id: found for instance_id, found in lost.items() if found}

    async def _strike(self, deaths: int, lives: list[asyncio.Task[None]]) -> None:
        for _ in range(deaths):
            seen = self._lines() + self._dice.randint(1, _MOST_LINES)

            async def has_gone_on(seen: int = seen) -> bool:
                return self._lines() >= seen or all(life.done() for life in lives)

            await eventually(has_gone_on, "instances that go on", details=self._platform.transcript)
            if all(life.done() for life in lives):
                return
            victim = self._dice.choice(VICTIMS)
            if victim == "database" and self._server is None:
                continue
            self.deaths[victim] += 1
            if victim == "database" and self._server is not None:
                await asyncio.to_thread(self._server.kill)
                await asyncio.to_thread(self._server.start)
            elif victim in ("program", "shim"):
                self._kill_guest(self._dice.choice(self.instances), shim=victim == "shim")
            else:
                await self._kill_daemons(victim)

    def _lines(self) -> int:
        return sum(len(each.witness()) for each in self.instances)

    def _kill_guest(self, instance: StormInstance, *, shim: bool) -> None:
        guest = self._platform.guest(instance.instance_id)
        if guest is None:
            return
        if shim:
            killed = guest.kill_shim()
        elif self._platform.has_containers:
            killed = guest.kill_one(self._dice.randrange(3))  # the runtime, process 1 of the container, the program
        else:
            killed = guest.kill_program()
        instance.kills += killed

    async def _kill_daemons(self, victim: str) -> None:
        roles = (victim,) if victim in ("core", "environment") else ("environment", "core")
        for role in roles:
            self._platform.kill(role)
        if victim == "everything":
            for each in self.instances:
                self._kill_guest(each, shim=True)
        while self._dice.random() < 0.4:
            # Again in the middle of their start, wherever that is.
            self.deaths["at the start"] += 1
            await self._start(roles, serves=False)
            await asyncio.sleep(self._dice.random() * _SOON_SECONDS)
            for role in roles:
                self._platform.kill(role)
        await self._start(roles, serves=True)

    async def _start(self, roles: tuple[str, ...], *, serves: bool) -> None:
        starts = {"core": self._platform.start_core, "environment": self._platform.start_environment}
        await asyncio.gather(*(starts[role](serves=serves) for role in roles))
