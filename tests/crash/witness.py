"""The witness of a program: what it did, kept where no kill takes it back.

Each line of the file is one JSON list, appended with one write: `begin` (a process; `overlap` when another of this
instance is alive), `failed` (an attempt at work), `effect` (work towards the outside world, with its idempotency key),
`known` (a state that core has acknowledged). States carry the process that made them, so that a changed one is noticed.
"""

from __future__ import annotations

import fcntl
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtara_sdk import RetryPolicy, RuntaraSdk


class Witness:
    """Of one process, in a folder that all processes of the instance share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._epoch = int(os.environ["RUNTARA_LAUNCH_EPOCH"])
        self.process = f"{self._epoch}-{os.getpid()}"
        self._file = os.open(directory / "witness", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # One process of an instance at a time: the kernel frees the lock of a dead one.
        self._alive = os.open(directory / "alive", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.note("overlap", self.process)
        self.note("begin", self._epoch, os.getpid())

    def note(self, *facts: object) -> None:
        """Write a line."""
        os.write(self._file, (json.dumps(facts) + "\n").encode())

    async def step(self, sdk: RuntaraSdk, name: str, *, failures: int = 0, retry: RetryPolicy | None = None) -> str:
        """A step with an effect; its first `failures` attempts fail before it."""
        state = await sdk.step(name, partial(self._work, name, failures), retry=retry)
        self.note("known", f"step::{name}", json.dumps(state))
        return name

    async def keep(self, sdk: RuntaraSdk, name: str) -> str:
        """A checkpoint."""
        mine = self.process.encode()
        result = await sdk.checkpoint(name, mine)
        self.note("known", name, (result.state if result.found else mine).decode())
        return name

    async def keep_together(self, sdk: RuntaraSdk, *names: str) -> list[str]:
        """Several checkpoints in one call."""
        mine = self.process.encode()
        results = await sdk.checkpoints([(name, mine) for name in names])
        for name, result in zip(names, results, strict=True):
            self.note("known", name, (result.state if result.found else mine).decode())
        return list(names)

    async def _work(self, name: str, failures: int) -> str:
        from runtara_sdk import idempotency_key

        if failures and read_witness(self._directory).count(["failed", name]) < failures:
            self.note("failed", name)
            raise ConnectionError("not yet")
        self.note("effect", name, idempotency_key())
        return self.process


def read_witness(directory: Path) -> list[list[Any]]:
    """What the processes of an instance have written."""
    path = directory / "witness"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
