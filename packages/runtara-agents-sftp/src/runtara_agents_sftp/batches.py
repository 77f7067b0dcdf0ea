"""Many files at once: each is recorded when it is done, so that no run of the step transfers it twice."""

from __future__ import annotations

import asyncio
import fnmatch
import functools
import posixpath
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import Any

from runtara_sdk.agents import AgentError, CapabilityContext, ErrorCategory
from runtara_sdk.agents.errors import TIMEOUT
from runtara_sdk.agents.workspace import PARTIAL, Workspace

from runtara_agents_sftp.failures import CONNECT_ERRORS
from runtara_agents_sftp.listing import TOO_MANY, matching
from runtara_agents_sftp.models import BatchInput, BatchOutput, DownloadFilesInput, FileResult, UploadFilesInput
from runtara_agents_sftp.session import SftpSession
from runtara_agents_sftp.transfers import download, upload

Sessions = Callable[[], AbstractContextManager[SftpSession]]
"""Lends a session to one thread."""

_RETRY_SECONDS = (1.0, 5.0)
"""Waits before the further attempts of a file that failed for a transient reason, where the others go on."""

_OF_ALL = frozenset(error.code for error in CONNECT_ERRORS if error.kind is ErrorCategory.PERMANENT)
"""What is wrong with the connection is so for all files, and servers lock users out that try it again and again."""

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
    # Threads of its own: those that asyncio has for everybody are few.
    threads = ThreadPoolExecutor(inputs.concurrency, thread_name_prefix="sftp batch")
    loop = asyncio.get_running_loop()

    async def one(number: int, source: str, destination: str) -> FileResult:
        async def work() -> Any:
            attempt = functools.partial(_attempt, context=context, must_succeed=inputs.on_error == "fail")
            result = await loop.run_in_executor(threads, attempt, transfer, source, destination)
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
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    good = [result for result in results if result.success]
    return BatchOutput(
        files=results,
        succeeded=len(good),
        failed=len(results) - len(good),
        bytes=sum(result.size or 0 for result in good),
    )


def _attempt(
    transfer: Transfer, source: str, destination: str, context: CapabilityContext, *, must_succeed: bool
) -> FileResult:
    for wait_seconds in (*_RETRY_SECONDS, None):
        try:
            return transfer(source, destination)
        except AgentError as error:
            if must_succeed or error.code in _OF_ALL or error.code == TIMEOUT:
                raise  # what may be better in a moment is for the retries of the step
            if not error.retryable or wait_seconds is None:
                return FileResult(source=source, destination=destination, success=False, error=error.to_json())
            context.cancellation.wait(wait_seconds)
            context.check()
    raise AssertionError("the last attempt returns or raises")


async def download_matching(
    open_session: Sessions, inputs: DownloadFilesInput, context: CapabilityContext
) -> BatchOutput:
    """Download all files of the server that fit a glob."""

    def listed() -> list[str]:
        with open_session() as session:
            return [entry.path for entry in matching(session, inputs.pattern, context, most=inputs.max_files)]

    def transfer(source: str, destination: str) -> FileResult:
        with open_session() as session:
            stored = download(session, source, destination, context)
        return FileResult(source=source, destination=destination, success=True, size=stored.size, sha256=stored.sha256)

    base = posixpath.dirname(inputs.pattern).partition("**")[0].rstrip("/")
    sources = await _recorded(context, listed)
    pairs = [(path, posixpath.join(inputs.save_to, posixpath.relpath(path, base or "/"))) for path in sources]
    return await transfer_all(pairs, transfer, inputs, context)


async def upload_matching(open_session: Sessions, inputs: UploadFilesInput, context: CapabilityContext) -> BatchOutput:
    """Upload all files of the workspace that fit a glob."""
    workspace = context.require_workspace()

    def listed() -> list[str]:
        return workspace_files(workspace, inputs.pattern, inputs.max_files)

    def transfer(source: str, destination: str) -> FileResult:
        size = workspace.describe(source).size
        with workspace.open(source) as stream, open_session() as session:
            options = {"overwrite": inputs.overwrite, "create_dirs": inputs.create_dirs}
            upload(session, destination, stream, size, context, **options)
        return FileResult(source=source, destination=destination, success=True, size=size)

    sources = await _recorded(context, listed)
    pairs = [(path, posixpath.join(inputs.path, posixpath.basename(path))) for path in sources]
    return await transfer_all(pairs, transfer, inputs, context)


async def _recorded(context: CapabilityContext, listed: Callable[[], list[str]]) -> list[str]:
    """The files of the batch, looked for once: later runs of the step have the same numbers for them."""

    async def found() -> list[str]:
        return await asyncio.to_thread(listed)

    recorded: list[str] = await context.durable.checkpoint("files", found)
    return recorded


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
