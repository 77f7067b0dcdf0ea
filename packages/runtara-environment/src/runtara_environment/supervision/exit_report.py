"""What core is told of the end of a process."""

from __future__ import annotations

from runtara_core.models import ExitReport
from runtara_sdk.models import TerminationReason

from runtara_environment.runner import LaunchedProcess, ProcessExit


async def exit_report(
    process: LaunchedProcess, ended: ProcessExit, stop_reason: TerminationReason | None
) -> ExitReport:
    """The report; `stop_reason` says why the process was told to end, None that nobody did."""
    reason = stop_reason or TerminationReason.CRASHED
    if ended.timed_out:
        reason = TerminationReason.TIMEOUT
    return ExitReport(
        reason=reason,
        exit_code=ended.exit_code,
        stderr_tail=await process.output_tail("stderr"),
        memory_peak_bytes=ended.memory_peak_bytes,
        cpu_usage_usec=ended.cpu_usage_usec,
    )
