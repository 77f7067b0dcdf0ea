"""The campaign: one undisturbed run of each scenario finds the points, then runs with a death at one of them each.

Which points a sample takes is drawn from the seed by the names of the points, so it does not depend on how many others
there are. A point that a run did not come to (a timer, a poll, an interleaving) is counted and, in a sample, replaced.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oracles import Ending, violations
from persistent_caller import StuckError
from points import CONTAINER_ROLES, ROLES, SIDES, Doom, occurrence_of, role_of
from scenarios import CONTAINER_SCENARIOS, SCENARIOS, Scenario
from slot import DaemonParent, Slot, drop, make_slot, make_template

_REPLACEMENTS = 12
"""Points tried at most for one place in a sample, until one is reached."""

_NEAR = 8
"""Points before and after what an environment does with a container that are tried as well."""

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One death to try."""

    database: str
    scenario: Scenario
    path: str
    doom: Doom

    def __str__(self) -> str:
        return f"{self.database}, {self.path}: {self.doom}"

    @property
    def stratum(self) -> Key:
        """What a sample covers each of."""
        return (self.path, self.doom.victim, self.doom.side)

    def rank(self, seed: int) -> bytes:
        """Its place in the order that a seed gives."""
        text = f"{seed} {self.database} {self.scenario.name} {self.doom}"
        return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Result:
    """How it went."""

    target: Target
    reached: bool
    losses: list[str]
    seconds: float
    transcript: str = ""


@dataclass(slots=True)
class Report:
    """The figures of a campaign."""

    seed: int
    found: Counter[str] = field(default_factory=Counter)
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def losses(self) -> list[Result]:
        """Runs in which something was lost."""
        return [result for result in self.results if result.losses]

    def strata(self) -> set[Key]:
        """What deaths that happened have covered."""
        return {result.target.stratum for result in self.results if result.reached}

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        paths: dict[str, dict[str, int]] = {}
        for name in sorted(self.found, reverse=True):
            mine = [each for each in self.results if f"{each.target.database} {each.target.path}" == name]
            paths[name] = {"points_found": self.found[name], **_figures(mine)}
        return {
            "seed": self.seed,
            "points_found": self.found.total(),
            **_figures(self.results),
            "seconds": round(self.seconds),
            "paths": paths,
            "lost": [{"where": str(each.target), "losses": each.losses} for each in self.losses],
            "slowest": [
                f"{each.seconds:.1f} s: {each.target}"
                for each in sorted(self.results, key=lambda each: -each.seconds)[:20]
            ],
            "unreached": sorted(str(each.target) for each in self.results if not each.reached),
        }

    def text(self) -> str:
        """For people."""
        figures = self.figures()
        lines = [f"{'':20} {'found':>6} {'tried':>6} {'runs':>6} {'missed':>6} {'losses':>6}"]
        for name, row in [*figures["paths"].items(), ("all", figures)]:
            values = (row["points_found"], row["points_tried"], row["runs"], row["not_reached"], row["losses"])
            lines.append(f"{name:20} " + " ".join(f"{value:6}" for value in values))
        lines.append(f"seed {self.seed}, {self.seconds:.0f} s; a run tries one side of one point")
        return "\n".join(lines)


def _figures(results: list[Result]) -> dict[str, int]:
    return {
        "points_tried": len({(each.target.database, each.target.path, each.target.doom.point) for each in results}),
        "runs": len(results),
        "not_reached": sum(not each.reached for each in results),
        "losses": sum(bool(each.losses) for each in results),
    }


class Campaign:
    """Slots for runs on each database, and what undisturbed runs have shown."""

    def __init__(self, seed: int, keep: Path, *, over_containers: bool = False) -> None:
        self.report = Report(seed)
        self._keep = keep
        self._over_containers = over_containers
        self._slots: dict[str, asyncio.Queue[Slot]] = {}
        self._undisturbed: dict[tuple[str, str], Ending] = {}
        self._numbers = itertools.count(1)

    @classmethod
    @asynccontextmanager
    async def prepared(
        cls, directory: Path, seed: int, servers: dict[str, str | None], slots: int, *, runtime: str | None = None
    ) -> AsyncIterator[Campaign]:
        """A campaign with `slots` places on each database; `servers` has the URL of PostgreSQL, None for SQLite.

        With a container `runtime` it is that over containers.
        """
        made = cls(seed, directory / "kept", over_containers=runtime is not None)
        parent = await DaemonParent.start(runtime)
        closing: list[tuple[Any, str | None]] = []
        try:
            for database, server_url in servers.items():
                template = await make_template(directory / f"{database}-template", parent, server_url, runtime=runtime)
                closing.append((template, server_url))
                made._slots[database] = asyncio.Queue()
                for number in range(slots):
                    slot = await make_slot(
                        directory / f"{database}-{number}", parent, template, server_url, runtime=runtime
                    )
                    closing.append((slot, server_url))
                    made._slots[database].put_nowait(slot)
            yield made
        finally:
            for each, server_url in reversed(closing):
                if isinstance(each, Slot):
                    await each.close()
                await drop(each, server_url)
            await parent.close()

    async def find_targets(self) -> list[Target]:
        """Run every scenario undisturbed; returns every death that can be tried."""
        pairs = list(itertools.product(self._slots, CONTAINER_SCENARIOS if self._over_containers else SCENARIOS))
        return list(itertools.chain.from_iterable(await asyncio.gather(*(self._find(*pair) for pair in pairs))))

    async def _find(self, database: str, scenario: Scenario) -> list[Target]:
        async with self._slot(database) as slot:
            losses = await self._run(slot, scenario, None)
            if losses:
                raise AssertionError(
                    f"the undisturbed run {scenario.name} on {database}: {losses}\n{slot.transcript()}"
                )
            self._undisturbed[database, scenario.name] = await Ending.of(slot)
            paths = scenario.points(slot.plan.passed())
        for path, points in paths.items():
            self.report.found[f"{database} {path}"] += len(points)
        return [
            Target(database, scenario, path, Doom(point, side, victim))
            for path, points in paths.items()
            for point, victim in (_around_containers(points) if self._over_containers else _with_victims(points))
            for side in (SIDES if victim in ROLES else SIDES[:1])
        ]

    async def try_all(self, targets: list[Target], progress: Callable[[str], None]) -> None:
        """Try every death."""
        ordered = sorted(targets, key=lambda target: target.rank(self.report.seed))
        await asyncio.gather(*(self._try_and_tell(target, len(ordered), progress) for target in ordered))

    async def _try_and_tell(self, target: Target, total: int, progress: Callable[[str], None]) -> None:
        result = await self.try_one(target)
        done = len(self.report.results)
        if result.losses:
            progress(f"{target}: {'; '.join(result.losses)}")
        if done % 100 == 0 or done == total:
            progress(f"{done} of {total} runs, {len(self.report.losses)} losses")

    async def try_sample(self, targets: list[Target], size: int) -> None:
        """Try `size` deaths for each path, role and side, all of them reached where that is possible."""
        strata: dict[Key, list[Target]] = {}
        for target in sorted(targets, key=lambda target: target.rank(self.report.seed)):
            strata.setdefault(target.stratum, []).append(target)
        databases = itertools.cycle(self._slots)
        for _, ranked in sorted(strata.items()):
            first = next(databases)  # each has its share
            # Those that a poll passes now and then come last.
            ranked.sort(key=lambda target: (target.database != first, occurrence_of(target.doom.point) > 2))
        await asyncio.gather(
            *(
                self._try_until_reached(ranked[place::size][:_REPLACEMENTS])
                for ranked in strata.values()
                for place in range(size)
            )
        )

    async def _try_until_reached(self, candidates: list[Target]) -> None:
        for target in candidates:
            if (await self.try_one(target)).reached:
                return

    async def try_one(self, target: Target) -> Result:
        """One run with one death."""
        async with self._slot(target.database) as slot:
            began = time.monotonic()
            losses = await self._run(slot, target.scenario, target.doom)
            seconds = time.monotonic() - began
            transcript = ""
            if losses:
                transcript = slot.transcript()
                kept = self._keep / f"{next(self._numbers)}"
                shutil.copytree(
                    slot.directory,
                    kept,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("tls", "images", ".sockets", "*.sock"),
                )
            result = Result(target, slot.plan.has_struck, losses, seconds, transcript)
        self.report.results.append(result)
        return result

    async def _run(self, slot: Slot, scenario: Scenario, doom: Doom | None) -> list[str]:
        """Run a scenario to its end; returns what was lost."""
        await slot.begin(f"run-{next(self._numbers)}", doom)
        try:
            await scenario.drive(slot, scenario)
        except StuckError as error:
            return [str(error)]
        struck = doom is not None and doom.victim in slot.deaths
        unexpected = [role for role in slot.deaths if not struck or slot.deaths.count(role) > 1 or role != doom.victim]
        undisturbed = self._undisturbed.get((slot.database_name, scenario.name))
        too_many = (doom is not None) + slot.repeated_shutdown
        lost = violations(scenario, await Ending.of(slot), undisturbed, launches_too_many=too_many)
        lost += [f"left of the container: {each}" for each in slot.left_of_containers()]
        return [*lost, *(f"{role} died by itself" for role in unexpected)]

    @asynccontextmanager
    async def _slot(self, database: str) -> AsyncIterator[Slot]:
        queue = self._slots[database]
        slot = await queue.get()
        try:
            yield slot
        finally:
            await slot.end()
            queue.put_nowait(slot)


def _with_victims(points: list[str]) -> Iterator[tuple[str, str]]:
    """Every point with its own role; a role that passes none dies at those of core."""
    present = {role_of(point) for point in points}
    for point in points:
        yield point, role_of(point)
        if role_of(point) == "core":
            for role in ROLES:
                if role not in present:
                    yield point, role


def _around_containers(points: list[str]) -> Iterator[tuple[str, str]]:
    """The environment's points from shortly before it handles the container until shortly after, and who dies there.

    The processes around the container die while it runs: from its launch, or the beginning, until its end is settled.
    """
    mine = [point for point in points if role_of(point) == "environment"]
    handled = [place for place, point in enumerate(mine) if " container " in point]
    launched, settled = (
        mine.index(point) if point in mine else -1
        for point in ("environment container launch #1", "environment container settle #1")
    )
    first = 0 if launched < 0 else max(0, handled[0] - _NEAR)
    for place in range(first, min(handled[-1] + _NEAR, len(mine))):
        yield mine[place], "environment"
        if launched < place < settled:
            for role in CONTAINER_ROLES:
                yield mine[place], role


@asynccontextmanager
async def timed(report: Report) -> AsyncIterator[None]:
    """Measure what is inside."""
    began = time.monotonic()
    yield
    report.seconds = time.monotonic() - began
