"""Waiting for files that somebody else writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_sftp.failures import FILE_NOT_FOUND
from runtara_agents_sftp.listing import FileEntry
from runtara_agents_sftp.models import WaitInput, WaitOutput

WAIT_TIMEOUT = "SFTP_WAIT_TIMEOUT"

Look = Callable[[], list[FileEntry]]
"""The files that fit at the moment; runs on a thread."""


async def wait_for_files(look: Look, inputs: WaitInput, context: CapabilityContext) -> WaitOutput:
    """Look again and again, until enough files are there and do not change any more.

    A long interval ends the process: the next one goes on with the same deadline.

    Raises:
        AgentError: permanent SFTP_WAIT_TIMEOUT.
    """
    ends_at_ms = await context.durable.deadline_ms("deadline", inputs.timeout_ms)
    began_at_ms = ends_at_ms - inputs.timeout_ms

    async def reached() -> bool:
        await _look(look)
        return True

    # A server that was never reached is an error at once, one that is away for a while is waited for.
    await context.durable.checkpoint("reached", reached)
    while True:
        failure: AgentError | None = None
        try:
            stable = await _settled(look, inputs, context, ends_at_ms)
        except AgentError as error:
            if not error.retryable:
                raise
            context.logger.warning("the wait for files goes on: %s", error)
            stable, failure = [], error
        now_ms = context.clock.now_ms()
        if failure is None and len(stable) >= inputs.min_files:
            files = [entry.model_dump() for entry in stable]
            return WaitOutput(files=files, waited_ms=max(0, now_ms - began_at_ms))
        if now_ms >= ends_at_ms:
            if failure is not None:
                raise failure
            break
        # Looks are numbered by the time, so that a process that goes on does not repeat those of the earlier ones.
        number = (now_ms - began_at_ms) // inputs.interval_ms + 1
        next_at_ms = min(began_at_ms + number * inputs.interval_ms, ends_at_ms)
        await context.durable.sleep(f"look-{number}", next_at_ms - now_ms)
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
