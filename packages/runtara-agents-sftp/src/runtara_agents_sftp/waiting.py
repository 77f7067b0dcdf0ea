"""Waiting for files that somebody else writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_sftp.failures import FILE_NOT_FOUND
from runtara_agents_sftp.listing import FileEntry
from runtara_agents_sftp.models import WaitInput, WaitOutput

WAIT_TIMEOUT = "SFTP_WAIT_TIMEOUT"

_MOST_LOOKS = 1_000_000

Look = Callable[[], list[FileEntry]]
"""The files that fit at the moment; runs on a thread."""


async def wait_for_files(look: Look, inputs: WaitInput, context: CapabilityContext) -> WaitOutput:
    """Look again and again, until enough files are there and do not change any more.

    A long interval ends the process: the next one goes on with the same deadline.

    Raises:
        AgentError: permanent SFTP_WAIT_TIMEOUT.
    """
    ends_at_ms = await context.durable.deadline_ms("deadline", inputs.timeout_ms)
    for number in range(_MOST_LOOKS):

        async def settled(ends_at_ms: int = ends_at_ms) -> list[FileEntry]:
            return await _settled(look, inputs, context, ends_at_ms)

        stable = await settled()
        waited_ms = max(0, context.clock.now_ms() - (ends_at_ms - inputs.timeout_ms))
        if len(stable) >= inputs.min_files:
            return WaitOutput(files=[entry.model_dump() for entry in stable], waited_ms=waited_ms)
        left_ms = ends_at_ms - context.clock.now_ms()
        if left_ms <= 0:
            break
        await context.durable.sleep(f"look-{number}", min(inputs.interval_ms, left_ms))
    raise AgentError.permanent(
        WAIT_TIMEOUT,
        f"{inputs.pattern!r}: no file that fits came within {inputs.timeout_ms} ms, or all were still being written",
        attributes={"path": inputs.pattern, "timeout_ms": inputs.timeout_ms},
    )


async def _settled(look: Look, inputs: WaitInput, context: CapabilityContext, ends_at_ms: int) -> list[FileEntry]:
    """The files that are the same in two looks, `stable_ms` apart."""
    before = await _look(look)
    if len(before) < inputs.min_files or not inputs.stable_ms:
        return before
    left_ms = max(0, ends_at_ms - context.clock.now_ms())
    await context.clock.sleep(min(inputs.stable_ms, left_ms) / 1000)
    known = {entry.path: (entry.size, entry.modified_time) for entry in before}
    return [entry for entry in await _look(look) if known.get(entry.path) == (entry.size, entry.modified_time)]


async def _look(look: Look) -> list[FileEntry]:
    try:
        return await asyncio.to_thread(look)
    except AgentError as error:
        if error.code == FILE_NOT_FOUND:  # the directory may come, too
            return []
        raise
