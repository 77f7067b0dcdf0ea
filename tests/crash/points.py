"""Points: the places of a run at which a process may die, their names, and the death itself.

A point is one statement that a process gives its database, or one protocol frame that it sends or takes. Its name is

    ROLE KIND WHAT #N        core sql checkpoint: insert_checkpoint #2
                             instance@1 frame send request instance.sleep #1

with the operation that a statement belongs to, the launch (epoch) of an instance, and N counting what has the same name
since the tracer was armed. Dying *before* a point means that nothing of it has happened; *after*, that all of it has: a
statement is done (a COMMIT: durable), a frame has left the socket, or what came is acknowledged to the sender.

Where a role passes no point of its own, its death is tied to a point of another role, which then sends the SIGKILL.
Around a container these are the shim, the runtime, process 1 (`container`) and `pasta`. Whoever passes the point waits
there for one of them that is yet to be started, so that the death does not depend on which of the two is faster.

The processes of one run share a folder: `armed` begins it, `doom.json` names point, side and victim, `struck` says that
the death has happened, `trace.NAME` lists what was passed, `pid.ROLE` who plays a role. Nothing here imports the
product, so that an instance's program may.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

PLAN_VARIABLE = "CRASH_PLAN"
ROLES = ("core", "environment", "instance")

CONTAINER_ROLES = ("shim", "runtime", "container", "pasta")

_BIRTH_SECONDS = 2.0
"""How long a point waits for a process around the container that is yet to be started."""

Side = Literal["before", "after"]
SIDES: tuple[Side, ...] = ("before", "after")


@dataclass(frozen=True, slots=True)
class Doom:
    """The point and the side of it at which a process, that of the role `victim`, dies."""

    point: str
    side: Side
    victim: str

    def __str__(self) -> str:
        return f"{self.victim} dies {self.side} {self.point}"


def role_of(point: str) -> str:
    """The role whose point this is."""
    return point.partition(" ")[0].partition("@")[0]


def occurrence_of(point: str) -> int:
    """How often its name has come up."""
    return int(point.rpartition("#")[2])


class Plan:
    """The folder that the harness and the processes of one run share."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def prepare(self, doom: Doom | None) -> None:
        """Empty the folder and, if somebody is to die, say where."""
        self.directory.mkdir(exist_ok=True)
        for left in self.directory.iterdir():
            left.unlink()
        if doom is not None:
            (self.directory / "doom.json").write_text(json.dumps(asdict(doom)))

    def doom(self) -> Doom | None:
        """What was prepared, or None."""
        path = self.directory / "doom.json"
        return Doom(**json.loads(path.read_text())) if path.exists() else None

    def arm(self) -> None:
        """From now on points count."""
        (self.directory / "armed").touch()

    @property
    def is_armed(self) -> bool:
        """Whether points count."""
        return (self.directory / "armed").exists()

    @property
    def has_struck(self) -> bool:
        """Whether the death has happened."""
        return (self.directory / "struck").exists()

    def strike(self) -> bool:
        """Claim the only death of the run; False when it has happened already."""
        try:
            os.close(os.open(self.directory / "struck", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def miss(self) -> None:
        """Take the death back: the victim was gone already."""
        (self.directory / "struck").unlink()

    def pid_of(self, role: str) -> int | None:
        """Who plays a role."""
        if role in CONTAINER_ROLES:
            return _await_container_process(Path(os.environ["DATA_DIR"]), role)
        path = self.directory / f"pid.{role}"
        return int(path.read_text()) if path.exists() else None

    def enter(self, role: str) -> None:
        """This process plays a role."""
        written = self.directory / f".pid.{role}.{os.getpid()}"
        written.write_text(str(os.getpid()))
        written.replace(self.directory / f"pid.{role}")

    def passed(self, *, armed: bool = True) -> list[str]:
        """The points that were passed, in the order of time; with `armed` False those before the arming."""
        lines: list[tuple[int, str]] = []
        for path in self.directory.glob("trace.*"):
            for line in path.read_text().splitlines():
                moment, mark, point = line.split("\t", 2)
                if (mark == "+") is armed:
                    lines.append((int(moment), point))
        return [point for _, point in sorted(lines)]


def _await_container_process(data_dir: Path, role: str) -> int | None:
    """One of the processes around the container; None when its launch has ended, or has not brought it in time.

    It blocks its caller: an environment that is slow at this point.
    """
    deadline = time.monotonic() + _BIRTH_SECONDS
    while True:
        pid = container_processes(data_dir).get(role)
        launch = _newest_launch(data_dir)
        has_ended = launch is None or (launch / "exit.json").exists()
        if pid is not None or has_ended or time.monotonic() > deadline:
            return pid
        time.sleep(0.005)


def _newest_launch(data_dir: Path) -> Path | None:
    """The directory of the newest launch in a data directory."""
    return max(data_dir.glob("*/runs*/*/launch-*"), key=lambda path: int(path.name[7:]), default=None)


def container_processes(data_dir: Path) -> dict[str, int]:
    """The processes around the container of the newest launch in a data directory, by role, as far as they live."""
    launch = _newest_launch(data_dir)
    text = "" if launch is None else _read(f"{launch}/shim.json")
    if not text:
        return {}
    claim = json.loads(text)
    found = {}
    if _start_time(claim["pid"]) == claim["start_time"]:
        found["shim"] = int(claim["pid"])
    if "child_pid" in claim and _start_time(claim["child_pid"]) == claim["child_start_time"]:
        waiting = [int(claim["child_pid"])]
        for pid in waiting:
            name = _read(f"/proc/{pid}/comm").strip()
            children = _children(pid)
            if name in ("runc", "crun"):
                found["runtime"] = pid
                if children:
                    found["container"] = children[-1]
            elif name.startswith(("pasta", "passt")):
                found["pasta"] = pid
            else:
                waiting += children
    return found


def _children(pid: int) -> list[int]:
    """Of all threads of a process; none when it has ended meanwhile."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - numbers are enough
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _start_time(pid: int) -> int | None:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if fields else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


class Passage:
    """One passing of a point; `done` belongs after it."""

    __slots__ = ("_tracer", "is_last")

    def __init__(self, tracer: Tracer, is_last: bool) -> None:
        self._tracer = tracer
        self.is_last = is_last

    def done(self) -> None:
        """The point has been passed: die if this is the end."""
        if self.is_last:
            self._tracer.die()


class Tracer:
    """Writes down the points that this process passes, and ends it at the one it is doomed to.

    Args:
        plan: of the run.
        name: of the process: a role, for an instance with its launch.
    """

    def __init__(self, plan: Plan, name: str) -> None:
        self._plan = plan
        self._name = name
        self._doom = plan.doom()
        self._active = not plan.has_struck  # whoever is started after the death runs undisturbed
        self._armed = False
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        plan.enter(role_of(name))
        self._trace = os.open(
            plan.directory / f"trace.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )

    def reach(self, what: str) -> Passage:
        """Come to a point; does not return when the process dies before it."""
        if not self._active:
            return Passage(self, is_last=False)
        with self._lock:
            self._armed = self._armed or self._plan.is_armed
            if self._armed:
                self._counts[what] += 1
            point = f"{self._name} {what} #{self._counts[what]}"
            mark = "+" if self._armed else "-"
            os.write(self._trace, f"{time.monotonic_ns()}\t{mark}\t{point}\n".encode())
        doomed = self._armed and self._doom is not None and self._doom.point == point
        if doomed and self._doom is not None and self._doom.side == "before":
            self.die()
        return Passage(self, is_last=doomed)

    def die(self) -> None:
        """SIGKILL to the victim, usually this process."""
        pid = None if self._doom is None else self._plan.pid_of(self._doom.victim)
        if pid is not None and self._plan.strike():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                self._plan.miss()
