"""Process 1 of a container: starts the program, passes signals on, reaps orphans and reports how the program ended.

Run as `python -I -S container_init.py` inside the container. The program itself cannot be process 1: signals without a
handler would not reach it, and how it died would be lost on the way through the runtime. Descriptor 3 is a file of the
launch directory. What to execute is read from it and emptied at once, for it holds the program's environment; then a
line tells that the program runs, or why it does not, and a last line how it ended. The program gets neither the
descriptor nor a way to it. When this process ends, the kernel kills everything else in the container.

The kernel drops a signal to process 1 that comes before this module blocks it. So whoever asks the program to end first
sets the sticky bit of the file of descriptor 3, which is looked at once signals are blocked.

As in the shim, only cheap modules are imported.
"""

# pathlib and contextlib cost more to import than everything here together:
# ruff: noqa: PTH123, SIM105

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import ctypes
import marshal
import os
import resource

TYPE_CHECKING = False  # typing itself costs too much to import
if TYPE_CHECKING:
    from typing import Any, NoReturn

EXCHANGE_DESCRIPTOR = 3
STOP_MODE = 0o1000
"""The bit of the mode of descriptor 3 that says that the program is to end."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_FORWARDED_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
_WATCHED_SIGNALS = _FORWARDED_SIGNALS | {signal.SIGCHLD}
_OOM_SCORE_ADJUSTMENT = b"500"
_USE_DIRECTORY_STAGE, _LIMITS_STAGE, _EXECUTE_STAGE = 1, 2, 3
_PROCESSOR_TIME_FILE = "/sys/fs/cgroup/cpuacct/cpuacct.usage"
_OOM_COUNT_FILES = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")


def _read_specification() -> dict[str, Any]:
    size = os.fstat(EXCHANGE_DESCRIPTOR).st_size
    specification: dict[str, Any] = marshal.loads(os.pread(EXCHANGE_DESCRIPTOR, size, 0))  # noqa: S302 - the daemon's
    os.ftruncate(EXCHANGE_DESCRIPTOR, 0)
    os.lseek(EXCHANGE_DESCRIPTOR, 0, os.SEEK_SET)
    return specification


def _report(text: str) -> None:
    os.write(EXCHANGE_DESCRIPTOR, text.encode("ascii") + b"\n")


def _oom_kills() -> int:
    """How many processes of this container the kernel has killed for want of memory."""
    for path in _OOM_COUNT_FILES:
        try:
            with open(path, "rb") as file:
                for line in file:
                    name, _, count = line.partition(b" ")
                    if name == b"oom_kill":
                        return int(count)
        except (OSError, ValueError):
            pass
    return 0


def _cpu_usage_usec() -> int:
    """What this container has used by now; 0 where there is no group of version 1.

    Of version 1, systemd removes the group before the daemon can read it.
    """
    try:
        with open(_PROCESSOR_TIME_FILE, "rb") as file:
            return int(file.read()) // 1_000
    except (OSError, ValueError):
        return 0


def _become_program(specification: dict[str, Any], go_ahead: int, failure: int) -> NoReturn:
    stage = 0
    try:
        os.setsid()
        os.read(go_ahead, 1)
        # Where memory is short, the kernel takes the program and not its parent, who has to report it.
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(descriptor, _OOM_SCORE_ADJUSTMENT)
        os.close(descriptor)
        stage = _USE_DIRECTORY_STAGE
        os.chdir(specification["working_directory"])
        stage = _LIMITS_STAGE
        for number, value in specification["rlimits"]:
            resource.setrlimit(number, (value, value))
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would pass that on
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        stage = _EXECUTE_STAGE
        argv = specification["argv"]
        os.execve(argv[0], argv, specification["environment"])  # noqa: S606 - the very purpose
    except (OSError, ValueError) as error:
        os.write(failure, b"%d %d" % (stage, getattr(error, "errno", None) or 0))
    finally:
        os._exit(127)


def _start(specification: dict[str, Any]) -> int | None:
    """Start the program; its process id, or None when it could not be started, which is reported."""
    go_ahead, allow = os.pipe()
    reader, failure = os.pipe()
    child = os.fork()
    if child == 0:
        _become_program(specification, go_ahead, failure)
    # From here on, nobody in the container may look into this process or take its descriptors.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.write(allow, b"!")
    for descriptor in (go_ahead, allow, failure):
        os.close(descriptor)
    failed = os.read(reader, 64)  # ends when exec closes the other end
    os.close(reader)
    if not failed:
        _report('{"started": true}')
        return child
    stage, number = failed.split()
    _report(f'{{"started": false, "stage": {int(stage)}, "errno": {int(number)}}}')
    return None


def _wait_for_program(child: int) -> int:
    """Reap whatever ends, pass signals on, and return the wait status of the program once that has ended."""
    while True:
        info = signal.sigwaitinfo(_WATCHED_SIGNALS)
        if info.si_signo in _FORWARDED_SIGNALS:
            try:
                os.killpg(child, info.si_signo)
            except ProcessLookupError:
                pass
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == child:
                return status
            if pid == 0:
                break


def main() -> NoReturn:
    """Entry point."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED_SIGNALS)
    if os.fstat(EXCHANGE_DESCRIPTOR).st_mode & STOP_MODE:
        os.kill(os.getpid(), signal.SIGTERM)
    os.set_inheritable(EXCHANGE_DESCRIPTOR, False)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    child = _start(_read_specification())
    if child is None:
        os._exit(1)
    status = _wait_for_program(child)
    used = f'"oom_kills": {_oom_kills()}, "cpu_usage_usec": {_cpu_usage_usec()}'
    _report(f'{{"exit_code": {os.waitstatus_to_exitcode(status)}, {used}}}')
    os._exit(0)


if __name__ == "__main__":
    main()
