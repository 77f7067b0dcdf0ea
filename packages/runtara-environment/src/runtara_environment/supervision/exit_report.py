"""What core is told of the end of a process."""

from __future__ import annotations

from runtara_core.models import ExitReport
from runtara_sdk.models import TerminationReason

from runtara_environment.runner import LaunchedProcess, ProcessExit

_OUT_OF_MEMORY = "out of memory: the program needed more than its limit, and the kernel killed it"


async def exit_report(
    process: LaunchedProcess, ended: ProcessExit, stop_reason: TerminationReason | None
) -> ExitReport:
    """The report; `stop_reason` says why the process was told to end, None that nobody did."""
    reason = stop_reason or TerminationReason.CRASHED
    if ended.timed_out:
        reason = TerminationReason.TIMEOUT
    tail = await process.output_tail("stderr")
    if ended.out_of_memory:
        tail = f"{tail.rstrip()}\n{_OUT_OF_MEMORY}".lstrip()
    return ExitReport(
        reason=reason,
        exit_code=ended.exit_code,
        stderr_tail=tail,
        memory_peak_bytes=ended.memory_peak_bytes,
        cpu_usage_usec=ended.cpu_usage_usec,
    )
