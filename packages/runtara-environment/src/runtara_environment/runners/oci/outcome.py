"""How a container ended, from what its process 1 reported and from how its runtime ended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtara_environment.runner import ProcessExit
from runtara_environment.runners.launch_directory import failed_start
from runtara_environment.runners.oci.cgroup import Usage

_SIGNAL_BASE = 128
_MAX_REPORT_BYTES = 4_096


def read_reports(path: Path) -> dict[str, Any]:
    """The members of all complete lines that process 1 wrote; none of a file that it never came to read."""
    reports: dict[str, Any] = {}
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_REPORT_BYTES).split(b"\n")[:-1]
    except OSError:
        return reports
    for line in lines:
        try:
            reports |= json.loads(line)
        except (TypeError, ValueError):
            return reports
    return reports


def outcome(
    runtime: ProcessExit, reports: dict[str, Any], usage: Usage, *, program: str, complaint: str
) -> ProcessExit:
    """The exit of the program.

    Args:
        runtime: how the process of the runtime ended.
        reports: see `read_reports`.
        usage: what the container has used.
        program: what was to be executed, for people.
        complaint: the last words of the runtime.
    """
    if "started" not in reports:
        never_ran = runtime.started and not runtime.timed_out and (runtime.exit_code or 0) > 0
        if never_ran or not runtime.started:
            reason = complaint or runtime.error or "no reason given"
            return ProcessExit(None, started=False, error=f"cannot start a container for {program}: {reason}")
        return replace(runtime, memory_peak_bytes=None, cpu_usage_usec=None)
    if not reports["started"]:
        return failed_start(int(reports["stage"]), int(reports["errno"]), program)
    exit_code = reports.get("exit_code")
    if exit_code is None:  # process 1 was killed, and everything with it
        exit_code = runtime.exit_code
        if exit_code is not None and exit_code > _SIGNAL_BASE:
            exit_code = _SIGNAL_BASE - exit_code
    return ProcessExit(
        exit_code=exit_code,
        # Without a control group the shim has measured the processes that it and its children have waited for.
        memory_peak_bytes=usage.memory_peak_bytes or runtime.memory_peak_bytes,
        cpu_usage_usec=usage.cpu_usage_usec or reports.get("cpu_usage_usec") or runtime.cpu_usage_usec,
        timed_out=runtime.timed_out,
        out_of_memory=bool(reports.get("oom_kills")) and exit_code != 0,
    )
