"""The process that owns one launched program, so that the daemon does not have to.

Run as `python -I -S shim.py SPEC`, never imported by the program it starts. It outlives the daemon: killing the daemon
touches neither shim nor program, and a restarted daemon learns everything from files in the launch directory:

* `shim.json`  who owns the launch (pid, start time, boot id, epoch; later the program's pid and start time). It is
  made with `link`, which fails when it exists: of a shim and a daemon that gives the launch up, exactly one wins.
* `stdout.log`, `stderr.log`  opened by the program itself in append mode. The shim keeps them bounded: beyond half of
  the limit the newest part moves to `NAME.1` and the file is emptied. The first line of `NAME.1` says how much of the
  stream lies before `NAME`; while output moves, `NAME.1.tmp` tells readers to wait. A pipe would bound them exactly,
  but would block a noisy program, cost a copy of every byte and lose the last words; RLIMIT_FSIZE would break the
  program.
* `exit.json`  how it ended, by write + fsync + rename. Its blocks are reserved before the claim, as are those of the
  claim's second writing: a full disk refuses a launch, but swallows no exit of a program that was started.

Where the program has a user of its own, the shim keeps the daemon's: the program can neither signal nor trace it, nor
reach the launch directory, so that nobody but the shim says how the program ended. The program becomes that user after
all that needs rights, and gets no rights back.

States: claimed -> program running -> program dead -> descendants dead -> exit file -> gone. SIGTERM is forwarded to
the program's group, SIGUSR1 kills everything at once. As a subreaper the shim also inherits what the program tried to
detach, and kills it when the program ends. There is no exit file before the last of them is dead, however long that
takes. If the shim itself is killed, the kernel kills the program, but nobody finds what has detached itself: so a
daemon never kills a shim that may have started its program.

Start-up time is the product here: only cheap modules are imported (`_signal` and `marshal` instead of `signal` and
`json`, whose imports take longer than all the rest), and ctypes is the price of prctl.
"""

# pathlib and contextlib cost more to import than everything here together:
# ruff: noqa: PTH104, PTH108, PTH123, PTH208, SIM105

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import ctypes
import marshal
import os
import resource
import sys
import time

TYPE_CHECKING = False  # typing itself costs too much to import
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

    Spec: TypeAlias = dict[str, Any]

SPEC_FILE = "spec.bin"
CLAIM_FILE = "shim.json"
EXIT_FILE = "exit.json"
OUTPUT_FILES = ("stdout.log", "stderr.log")
ROTATED_SUFFIX = ".1"
HEADER_BYTES = 21
"""Of the first line of a file with moved output: twenty digits."""

KILL_SIGNAL = signal.SIGUSR1
WATCHED_SIGNALS = frozenset({signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP})

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_KEYCTL = {"x86_64": 250, "aarch64": 219}  # numbers of the system call
_KEYCTL_JOIN_SESSION_KEYRING = 1

_DESCRIPTORS = 1 << 20
_RESERVED_BYTES = 512
_LOG_CHECK_MIN_SECONDS = 0.25
_LOG_CHECK_MAX_SECONDS = 4.0
_REAPED_AT_ONCE = 250
"""A program can make orphans as fast as they are reaped: whoever reaps looks at other things in between."""

_SWEEP_PAUSE_MIN_SECONDS = 0.002
_SWEEP_PAUSE_MAX_SECONDS = 1.0
_HOLD_CYCLE_SECONDS = 4
"""In the first second of so many, the dead are reaped at once."""

_HELD_AT_ONCE = 8_192
"""More than most users may have, and much less than there are numbers of processes."""

_QUICK_LOOKS = 64
_NUMBERS_AT_ONCE = 1_000
_IS_CHILD = os.WEXITED | os.WNOHANG | os.WNOWAIT
_LOST_RACE_STATUS = 75


def stat_fields(pid: int | str) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the third (state) on, as bytes, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def _start_time(pid: int) -> int:
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read().decode("ascii").strip()


def _write_new(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


def _claim_text(epoch: int, child: int | None = None) -> str:
    pid = os.getpid()
    text = f'"epoch": {epoch}, "pid": {pid}, "start_time": {_start_time(pid)}, "boot_id": "{_boot_id()}"'
    if child is not None:
        text += f', "child_pid": {child}, "child_start_time": {_start_time(child)}'
    return "{" + text + "}\n"


def claim(directory: str, text: str) -> bool:
    """Create the claim file with `text`, or return False when someone else has."""
    temporary = f"{directory}/{CLAIM_FILE}.{os.getpid()}.tmp"
    _write_new(temporary, text)
    try:
        os.link(temporary, f"{directory}/{CLAIM_FILE}")
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


class _ReservedFile:
    """A small file that appears whole or not at all, with its disk blocks reserved in advance."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        if os.write(self._file, b" " * _RESERVED_BYTES) < _RESERVED_BYTES:
            raise OSError(f"no room for {path}")

    def publish(self, text: str, *, flush: bool = False) -> None:
        os.pwrite(self._file, text.encode("ascii").ljust(_RESERVED_BYTES), 0)
        if flush:
            os.fsync(self._file)
        os.rename(self._path + ".tmp", self._path)

    def discard(self) -> None:
        os.close(self._file)
        os.unlink(self._path + ".tmp")


def _exit_text(fields: dict[str, str | int]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


class _OutputFiles:
    """Keeps the program's output files within their bound; checks seldom while nothing is written."""

    def __init__(self, directory: str, limit_bytes: int) -> None:
        self._paths = [f"{directory}/{name}" for name in OUTPUT_FILES]
        self._half = max(1, limit_bytes // 2)
        self._sizes = [0 for _ in self._paths]
        self._moved = dict.fromkeys(self._paths, 0)
        self._pause = _LOG_CHECK_MIN_SECONDS
        self.next_check = time.monotonic() + self._pause

    def check(self) -> None:
        sizes = [self._trim(path) for path in self._paths]
        grew = sizes != self._sizes
        self._sizes = sizes
        self._pause = _LOG_CHECK_MIN_SECONDS if grew else min(self._pause * 2, _LOG_CHECK_MAX_SECONDS)
        self.next_check = time.monotonic() + self._pause

    def _trim(self, path: str) -> int:
        try:
            # Never waits: the program may hold a lease on its file.
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return 0
        try:
            size = os.fstat(descriptor).st_size
            if size <= self._half:
                return size
            temporary = path + ROTATED_SUFFIX + ".tmp"
            try:
                self._keep_tail(descriptor, size, path, temporary)
            finally:  # the bound holds even when the tail cannot be kept
                os.ftruncate(descriptor, 0)
                os.rename(temporary, path + ROTATED_SUFFIX)
        except OSError:
            pass
        finally:
            os.close(descriptor)
        return 0

    def _keep_tail(self, source: int, size: int, path: str, temporary: str) -> None:
        target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(target, b"%020d\n" % 0)
            # Until nothing more comes: what is written between the last copy and the emptying is lost.
            offset = size - self._half + self._half // 4
            end = offset + self._half
            while offset < end:
                copied = os.sendfile(target, source, offset, end - offset)
                if copied == 0:
                    break
                offset += copied
            self._moved[path] += offset
            os.pwrite(target, b"%020d\n" % self._moved[path], 0)
        finally:
            os.close(target)


def _become_user(user: int, group: int, libc: ctypes.CDLL) -> None:
    """Give up every right of the daemon's user for good."""
    for number in (1, 2):
        os.fchown(number, user, group)  # so that the program can open /dev/stdout
    keyctl = _KEYCTL.get(os.uname().machine)
    if keyctl is not None:  # the keys of the daemon's session would stay within reach
        libc.syscall(keyctl, _KEYCTL_JOIN_SESSION_KEYRING, None)
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)  # takes all capabilities, too


def _become_program(spec: Spec, libc: ctypes.CDLL, shim_pid: int, status_file: int) -> NoReturn:
    """In the forked child: own session, tied to the shim's life, limited, with nothing of ours; then exec."""
    stage = 0
    try:
        os.setsid()
        stage = 1
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        for number, name in enumerate(OUTPUT_FILES, start=1):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            os.dup2(os.open(f"{spec['launch_directory']}/{name}", flags, 0o600), number)
        stage = 2
        for number, value in spec["rlimits"]:
            resource.setrlimit(number, (value, value))
        stage = 4
        if spec["user"] is not None:
            user, group = spec["user"]
            _become_user(user, group, libc)
        stage = 0
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # a set-uid program would also lose the next setting
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)  # which a change of the user takes back
        if os.getppid() != shim_pid:
            os._exit(_LOST_RACE_STATUS)
        stage = 1
        os.chdir(spec["working_directory"])
        stage = 2
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would pass that on
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        stage = 3
        os.execve(spec["argv"][0], spec["argv"], spec["environment"])  # noqa: S606 - the very purpose
    except (OSError, ValueError) as error:
        os.write(status_file, b"%d %d" % (stage, getattr(error, "errno", None) or 0))
    finally:
        os._exit(127)


def _start(spec: Spec, libc: ctypes.CDLL) -> tuple[int, int | None, int]:
    """Fork and exec the program; return (pid, failed stage or None, errno)."""
    shim_pid = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _become_program(spec, libc, shim_pid, writer)
    os.close(writer)
    # The child can hang on its way to exec, as with files on a server that does not answer: it must be killable.
    signal.signal(KILL_SIGNAL, lambda *_: os.kill(child, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {KILL_SIGNAL})
    failure = os.read(reader, 64)  # ends when exec closes the other end
    signal.pthread_sigmask(signal.SIG_BLOCK, {KILL_SIGNAL})
    os.close(reader)
    if not failure:
        return child, None, 0
    os.waitpid(child, 0)
    stage, number = failure.split()
    return child, int(stage), int(number)


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)  # the leader is our unreaped child: the group cannot be a stranger's
    except (ProcessLookupError, PermissionError):
        pass


def _is_child(pid: int) -> bool:
    """Whether this is the number of a child of ours, dead or alive; much faster than to read files of /proc."""
    try:
        os.waitid(os.P_PID, pid, _IS_CHILD)
    except ChildProcessError:
        return False
    return True


def _is_dead(child: int) -> bool:
    return os.waitid(os.P_PID, child, _IS_CHILD) is not None


def _program_ended(child: int) -> bool:
    """Reap adopted orphans, as many as are due; whether the program itself has ended (it stays unreaped)."""
    for _ in range(_REAPED_AT_ONCE):
        if os.waitid(os.P_PID, child, _IS_CHILD) is not None:
            return True
        info = os.waitid(os.P_ALL, 0, _IS_CHILD)
        if info is None:
            return False
        if info.si_pid != child:
            os.waitpid(info.si_pid, 0)
    _take_precedence()  # or whoever makes so many would keep signals and the timeout from being noticed
    return False


def _wait_for_program(child: int, spec: Spec, output: _OutputFiles) -> bool:
    """Forward signals and enforce the timeout until the program has ended; whether it timed out."""
    deadline = None if spec["timeout_seconds"] is None else time.monotonic() + spec["timeout_seconds"]
    timed_out = False
    while not _program_ended(child):
        until = output.next_check if deadline is None else min(deadline, output.next_check)
        info = signal.sigtimedwait(WATCHED_SIGNALS, max(0.0, until - time.monotonic()))
        number = info.si_signo if info else 0
        if number == signal.SIGTERM:
            _signal_group(child, signal.SIGTERM)
        elif number == KILL_SIGNAL:
            _signal_group(child, signal.SIGKILL)
        now = time.monotonic()
        if now >= output.next_check:
            output.check()
        if deadline is not None and now >= deadline:
            _signal_group(child, signal.SIGKILL if timed_out else signal.SIGTERM)
            deadline = None if timed_out else now + spec["kill_grace_seconds"]
            timed_out = True
    return timed_out


class _Sweep:
    """Kills and reaps every descendant; those of a killed one come to us, the subreaper, in turn.

    Processes that fork and end all the time are gone before a walk over all processes comes to them. So

    * each child takes its process group with it, which no fork escapes. All members of the group descend from us: the
      program began a session of its own. Also a dead child says which group it was in, until it is reaped.
    * between two walks only the newest numbers of processes are looked at, again and again, which takes less time than
      it takes to fork and to end.
    * nothing that is killed comes before us at the processor, where we may ask for that.
    * if all that is not enough, the dead are left unreaped for a while: they count for the bound of processes that the
      program's user has, so that soon nothing can be forked any more.

    A child keeps its number until it is reaped here, so no stranger is killed.
    """

    def __init__(self) -> None:
        self._own_group = os.getpgrp()
        self._killed: set[int] = set()
        self._groups: set[int] = set()
        try:
            self._load = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._load = -1

    def run(self) -> None:
        """Return once no descendant is left, however long that takes: until then it may still do something."""
        pause = 0.0
        began = time.monotonic()
        is_calm = found = False
        while True:
            self._groups.clear()
            progress = False
            # Not all the time: beside something that does not die, the dead must not count for good.
            is_second_held = int(time.monotonic() - began) % _HOLD_CYCLE_SECONDS > 0
            is_holding = is_second_held and len(self._killed) <= _HELD_AT_ONCE
            if is_calm or not is_holding:
                try:
                    progress = self._reap()
                except ChildProcessError:
                    break
            if pause == 0.0:
                _take_precedence()
            # Once all children are dead and no new one is found, nothing is left that could fork.
            were_dead = is_holding and not found and all(map(_is_dead, self._killed))
            newest = self._newest_number()
            killed = [pid for pid in _candidates() if self._kill(pid)]
            found = self._kill_newcomers(newest) or bool(killed)
            is_calm = were_dead and not found
            still = not found and not progress
            pause = min(pause * 2, _SWEEP_PAUSE_MAX_SECONDS) if still and pause else _SWEEP_PAUSE_MIN_SECONDS
            if not is_calm or not self._killed:  # else the dead are reaped at once
                signal.sigtimedwait({signal.SIGCHLD}, pause)
        if self._load >= 0:
            os.close(self._load)

    def _reap(self) -> bool:
        """Reap what has died; whether anything had. Raises ChildProcessError when no child is left."""
        for count in range(_REAPED_AT_ONCE):
            info = os.waitid(os.P_ALL, 0, _IS_CHILD)
            if info is None:
                return count > 0
            self._kill_group(info.si_pid)
            os.waitpid(info.si_pid, 0)
            self._killed.discard(info.si_pid)
        return True

    def _kill(self, pid: int) -> bool:
        """Kill a process, if it is a child; whether it is one that had not been killed before."""
        if pid in self._killed or not _is_child(pid):
            return False
        try:
            os.kill(pid, signal.SIGKILL)  # before its group, which it cannot leave any more then
        except PermissionError:  # then its end is waited for
            pass
        self._kill_group(pid)
        self._killed.add(pid)
        return True

    def _kill_group(self, child: int) -> None:
        group = os.getpgid(child)
        if group > 1 and group != self._own_group and group not in self._groups:
            self._groups.add(group)
            _signal_group(group, signal.SIGKILL)

    def _kill_newcomers(self, newest: int) -> bool:
        """Look at the numbers that were given after `newest`, as long as there are any; whether one was killed."""
        found = False
        strangers: list[int] = []
        for _ in range(_QUICK_LOOKS):
            before, newest = newest, self._newest_number()
            count = newest - before if newest >= before else newest  # the numbers have begun anew
            if count == 0:
                break
            numbers = [*strangers, *range(newest - min(count, _NUMBERS_AT_ONCE) + 1, newest + 1)]
            killed = {pid for pid in numbers if self._kill(pid)}
            # Whose parent has died meanwhile is a child at the next look.
            strangers = [pid for pid in numbers[len(strangers) :] if pid not in killed]
            found = found or bool(killed)
        return found

    def _newest_number(self) -> int:
        """The number that a process or thread was given last, 0 where the kernel does not say."""
        try:
            return int(os.pread(self._load, 128, 0).rpartition(b" ")[2])
        except (OSError, ValueError):
            return 0


def _take_precedence() -> None:
    """Run before all that is to be killed: among hundreds of processes that never rest our turn would come too late."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        except OSError:
            pass


def _candidates() -> list[int]:
    """Numbers of processes among which all children are: these alone, where the kernel lists them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        pass
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:  # such as no memory: the next look may succeed
        return []


def run(spec: Spec) -> int:
    """Own one launch from claim to exit file; returns the shim's exit status."""
    directory, epoch = spec["launch_directory"], spec["epoch"]
    if os.getsid(0) != os.getpid():
        os.setsid()
    # All that is written once the program may run is reserved before the claim, so that a full disk refuses the launch.
    claim_file = _ReservedFile(f"{directory}/{CLAIM_FILE}")
    exit_file = _ReservedFile(f"{directory}/{EXIT_FILE}")
    if not claim(directory, _claim_text(epoch)):
        claim_file.discard()
        exit_file.discard()
        return _LOST_RACE_STATUS
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child, failed_stage, number = _start(spec, libc)
    if failed_stage is not None:
        exit_file.publish(
            _exit_text({"epoch": epoch, "started": "false", "stage": failed_stage, "errno": number}), flush=True
        )
        return 1
    claim_file.publish(_claim_text(epoch, child))
    output = _OutputFiles(directory, spec["output_bytes"])
    timed_out = _wait_for_program(child, spec, output)
    _signal_group(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    _Sweep().run()
    output.check()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    exit_file.publish(
        _exit_text(
            {
                "epoch": epoch,
                "started": "true",
                "exit_code": os.waitstatus_to_exitcode(status),
                "timed_out": "true" if timed_out else "false",
                "memory_peak_bytes": usage.ru_maxrss * 1024,
                "cpu_usage_usec": int((usage.ru_utime + usage.ru_stime) * 1_000_000),
            }
        ),
        flush=True,
    )
    return 0


def main() -> NoReturn:
    """Entry point; the spec file is removed once read because it holds the program's environment."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)
    os.umask(0o077)
    os.closerange(3, _DESCRIPTORS)
    with open(sys.argv[1], "rb") as file:
        spec = marshal.loads(file.read())  # noqa: S302 - written by our own daemon for us alone
    os.unlink(sys.argv[1])
    status = run(spec)
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
