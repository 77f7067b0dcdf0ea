"""What core is told of the end of a process."""

from __future__ import annotations

from runtara_core.models import ExitReport
from runtara_sdk.models import TerminationReason
from runtara_sdk.resource_limits import format_limit

from runtara_environment.runner import LaunchedProcess, ProcessExit

_REMEDY = "start it with a larger limit (runtara-ctl start --memory), or register its image with one and fork it"


async def exit_report(
    process: LaunchedProcess, ended: ProcessExit, stop_reason: TerminationReason | None, memory_bytes: int | None
) -> ExitReport:
    """The report.

    Args:
        process: that of the launch.
        ended: how it ended.
        stop_reason: why the process was told to end; None says that nobody did.
        memory_bytes: what it might have of memory, as far as that is known.
    """
    reason = stop_reason or (TerminationReason.OUT_OF_MEMORY if ended.out_of_memory else TerminationReason.CRASHED)
    if ended.timed_out:
        reason = TerminationReason.TIMEOUT
    tail = await process.output_tail("stderr")
    if ended.out_of_memory:
        limit = "its limit" if memory_bytes is None else format_limit("memory_bytes", memory_bytes)
        tail = f"{tail.rstrip()}\nit needed more memory than {limit}: {_REMEDY}".lstrip()
    return ExitReport(
        reason=reason,
        exit_code=ended.exit_code,
        stderr_tail=tail,
        memory_peak_bytes=ended.memory_peak_bytes,
        cpu_usage_usec=ended.cpu_usage_usec,
    )
