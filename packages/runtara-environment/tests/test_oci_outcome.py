"""How reports of process 1 and the end of the runtime become the exit of a program."""

import errno
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.runner import ProcessExit
from runtara_environment.runners.oci.cgroup import Usage
from runtara_environment.runners.oci.outcome import outcome, read_reports

USAGE = Usage(1_000, 2_000)


def outcome_of(runtime: ProcessExit, reports: dict[str, Any], complaint: str = "") -> ProcessExit:
    return outcome(runtime, reports, USAGE, program="/bin/program", complaint=complaint)


@pytest.mark.parametrize("code", [0, 3, 255, -11])
def test_process_1_tells_the_exit(code: int) -> None:
    end = outcome_of(ProcessExit(0), {"started": True, "exit_code": code, "oom_kills": 0})
    assert end == ProcessExit(code, memory_peak_bytes=1_000, cpu_usage_usec=2_000)


def test_without_control_group_the_shim_has_measured() -> None:
    runtime = ProcessExit(0, memory_peak_bytes=7, cpu_usage_usec=8)
    end = outcome(runtime, {"started": True, "exit_code": 0}, Usage(None, None), program="/bin/program", complaint="")
    assert (end.memory_peak_bytes, end.cpu_usage_usec) == (7, 8)


def test_where_the_group_is_gone_process_1_has_measured() -> None:
    runtime, reports = ProcessExit(0, cpu_usage_usec=8), {"started": True, "exit_code": 0, "cpu_usage_usec": 9}
    end = outcome(runtime, reports, Usage(1, None), program="/bin/program", complaint="")
    assert end.cpu_usage_usec == 9
    assert outcome_of(runtime, reports).cpu_usage_usec == 2_000
    nothing = reports | {"cpu_usage_usec": 0}
    assert outcome(runtime, nothing, Usage(1, None), program="/bin/program", complaint="").cpu_usage_usec == 8


def test_out_of_memory() -> None:
    reports = {"started": True, "exit_code": -9, "oom_kills": 1}
    assert outcome_of(ProcessExit(0), reports).out_of_memory
    # A program that lost a child and went on was not ended by that.
    assert not outcome_of(ProcessExit(0), reports | {"exit_code": 0}).out_of_memory


@pytest.mark.parametrize(("runtime", "code"), [(137, -9), (-9, -9), (None, None)])
def test_process_1_was_killed(runtime: int | None, code: int | None) -> None:
    assert outcome_of(ProcessExit(runtime, timed_out=True), {"started": True}).exit_code == code
    assert outcome_of(ProcessExit(runtime, timed_out=True), {"started": True}).timed_out


def test_a_container_that_was_never_made() -> None:
    end = outcome_of(ProcessExit(1), {}, "no space left")
    assert not end.started
    assert not end.permanent
    assert end.error == "cannot start a container for /bin/program: no space left"


def test_a_container_that_was_killed_before_its_program_ran() -> None:
    assert outcome_of(ProcessExit(-9, memory_peak_bytes=5), {}) == ProcessExit(-9)


def test_a_program_that_cannot_be_executed() -> None:
    end = outcome_of(ProcessExit(1), {"started": False, "stage": 3, "errno": errno.ENOEXEC})
    assert not end.started
    assert end.permanent
    assert "/bin/program" in str(end.error)


def test_reports_end_where_they_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "exchange"
    assert read_reports(path) == {}
    path.write_bytes(b'{"started": true}\n{"exit_code": 1')
    assert read_reports(path) == {"started": True}
    path.write_bytes(b"\xe3 a specification\n that nobody read\n")
    assert read_reports(path) == {}
