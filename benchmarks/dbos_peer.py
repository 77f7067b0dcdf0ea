"""DBOS beside us: steps of its workflows, in a process and a virtual environment of their own.

DBOS is installed on first use and kept for the next run. `checkpoints.py` measures it in turns with everything else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from peer_environment import peer_python

_ANSWER_SECONDS = 120
_LONGEST_ANSWER_BYTES = 64 * 1024 * 1024


class DbosPeer:
    """A running program with a workflow of small steps."""

    def __init__(self, requests: asyncio.StreamWriter, answers: asyncio.StreamReader) -> None:
        self._requests = requests
        self._answers = answers

    async def measure(self, workflows: int, seconds: float) -> list[float]:
        """So many workflows at a time that make steps for so long; the latency of each step, seconds."""
        self._requests.write(f"{workflows} {seconds}\n".encode())
        latencies: list[float] = json.loads(await asyncio.wait_for(self._answers.readline(), seconds + _ANSWER_SECONDS))
        return latencies


@asynccontextmanager
async def running_dbos(database_url: str) -> AsyncIterator[DbosPeer | None]:
    """DBOS on a database as long as the block lasts; None, and a message, when it cannot be had."""
    python = await asyncio.to_thread(peer_python, "dbos", "dbos")
    if python is None:
        yield None
        return
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(Path(__file__).with_name("dbos_workflows.py")),
        database_url.replace("postgres://", "postgresql://", 1),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LONGEST_ANSWER_BYTES,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        if (await asyncio.wait_for(process.stdout.readline(), _ANSWER_SECONDS)).strip() != b"ready":
            print("DBOS left out: it did not start", file=sys.stderr)
            yield None
            return
        yield DbosPeer(process.stdin, process.stdout)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
