"""Many files at once: each is recorded when it is done, so that no run of the step transfers it twice."""

from __future__ import annotations

import asyncio
import fnmatch
import posixpath
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any

from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import PARTIAL, Workspace

from runtara_agents_sftp.listing import TOO_MANY
from runtara_agents_sftp.models import BatchInput, BatchOutput, FileResult

Transfer = Callable[[str, str], FileResult]
"""Moves one file from a source to a destination; runs on a thread, raises `AgentError`."""


async def transfer_all(
    pairs: list[tuple[str, str]], transfer: Transfer, inputs: BatchInput, context: CapabilityContext
) -> BatchOutput:
    """Move files, some at a time.

    Args:
        pairs: source and destination of each, in the order of the results.
        transfer: moves one.
        inputs: how many at a time, and what becomes of failures.
        context: of the step.

    Raises:
        AgentError: the first failure, where `on_error` says so.
    """
    slots = asyncio.Semaphore(inputs.concurrency)

    async def one(number: int, source: str, destination: str) -> FileResult:
        async def work() -> Any:
            result = await asyncio.to_thread(_attempt, transfer, source, destination, inputs.on_error == "fail")
            return result.model_dump(exclude_none=True)

        async with slots:
            context.check()
            return FileResult.model_validate(await context.durable.checkpoint(f"file-{number}", work))

    tasks = [asyncio.create_task(one(number, *pair)) for number, pair in enumerate(pairs)]
    try:
        results = await asyncio.gather(*tasks)
    except BaseException:
        context.cancellation.request()  # the threads of the others look at it
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    good = [result for result in results if result.success]
    return BatchOutput(
        files=results,
        succeeded=len(good),
        failed=len(results) - len(good),
        bytes=sum(result.size or 0 for result in good),
    )


def _attempt(transfer: Transfer, source: str, destination: str, fails: bool) -> FileResult:  # noqa: FBT001 - a thread's
    try:
        return transfer(source, destination)
    except AgentError as error:
        # What may be better in a moment is for the retries of the step, unless the others are to go on.
        if fails:
            raise
        return FileResult(source=source, destination=destination, success=False, error=error.to_json())


async def recorded_list(context: CapabilityContext, found: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """The files of the batch, looked for once: later runs of the step have the same numbers for them."""
    listed: list[str] = await context.durable.checkpoint("files", found)
    return listed


def workspace_files(workspace: Workspace, pattern: str, most: int) -> list[str]:
    """The files of the workspace that fit a glob, by path.

    Raises:
        AgentError: more than `most` fit.
    """
    directory, name = posixpath.split(pattern)
    root = workspace.path(directory)
    if not root.is_dir():
        return []
    found = [
        PurePosixPath(directory, each.name).as_posix()
        for each in root.iterdir()
        if each.is_file() and each.name != PARTIAL and fnmatch.fnmatchcase(each.name, name)
    ]
    if len(found) > most:
        raise AgentError.permanent(
            TOO_MANY, f"more than {most} files fit {pattern!r}: raise max_files", attributes={"path": pattern}
        )
    return sorted(found)
