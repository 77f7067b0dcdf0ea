"""The contract between the environment and whatever runs programs: data in, exit out.

A launch has an identity, the pair (run directory, epoch). The caller persists `Runner.planned_state(spec)` before
`launch` and `LaunchedProcess.state` after it; `attach` accepts either, so that a daemon that died anywhere in between
finds the process, its exit, or the certainty that nothing was and will be started for that epoch.

States of a launch: planned -> launched -> exited (`wait` answers, for ever and to any number of callers). Runners
know nothing of databases, and nothing here assumes that the process runs on the daemon's host.
The conformance suite is `runtara_environment.testing.runner_suite`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal

from runtara_sdk.errors import RuntaraError

MEBIBYTE = 1024 * 1024
DEFAULT_OUTPUT_BYTES = 8 * MEBIBYTE
DEFAULT_TAIL_BYTES = 8 * 1024


class LaunchError(RuntaraError):
    """The program could not be started; `permanent` says that trying the same again is useless."""

    code = "LAUNCH_FAILED"

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message, retryable=not permanent)
        self.permanent = permanent


class StopError(RuntaraError):
    """The process was told to die and its death could not be confirmed in time."""

    code = "STOP_FAILED"
    retryable = True


class NetworkMode(StrEnum):
    """What of the network a program sees. A mode that a runner cannot give is an error, never a weaker one."""

    HOST = "host"
    """The network of the host."""
    PASTA = "pasta"
    """A network of its own with user-mode translation; of the host only core's port."""
    NONE = "none"
    """No network: core is reached by its local socket."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one launch; None means the runner's default, which may be no bound.

    Attributes:
        memory_bytes: memory of the program; a runner without containers bounds that of each process.
        cpu_cores: processor time per wall-clock time, 0.5 = half a core.
        processes: processes and threads at once; a runner without containers counts all of the program's user.
        file_size_bytes: size of any one file that the program writes.
        open_files: open file descriptors per process.
        tmp_bytes: size of `/tmp`, where the program has one of its own.
        output_bytes: what is kept of stdout and of stderr each; older output goes first.
    """

    memory_bytes: int | None = None
    cpu_cores: float | None = None
    processes: int | None = None
    file_size_bytes: int | None = None
    open_files: int | None = None
    tmp_bytes: int | None = None
    output_bytes: int = DEFAULT_OUTPUT_BYTES


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """Everything a runner needs for one launch.

    Attributes:
        instance_id: whose launch it is.
        tenant_id: owner.
        epoch: number of the launch; a launch directory belongs to one epoch.
        argv: program (absolute path) and arguments.
        environment: the complete environment of the program; nothing is added from the daemon's.
        run_directory: absolute; working directory of the program, kept between launches of the instance.
        limits: bounds.
        network: what the program sees of the network.
        timeout_seconds: wall-clock bound of this launch, enforced even while the daemon is down; None = none.
        kill_grace_seconds: time between asking and killing at the timeout.
        files: what else of the host the program reads or connects to, such as its artifact and core's socket. A runner
            that hides the host from programs shows these, under their own paths, read-only.
        core_address: where the program reaches core, `host:port` or `unix:///path`; a runner that gives it a network of
            its own lets it through. None when it need not reach core.
        bundles_directory: where a runner may keep files of its own while the program runs; None stands for a place
            beside the run directory.
    """

    instance_id: str
    tenant_id: str
    epoch: int
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    run_directory: Path
    limits: Limits = field(default_factory=Limits)
    network: NetworkMode = NetworkMode.HOST
    timeout_seconds: float | None = None
    kill_grace_seconds: float = 5.0
    files: tuple[Path, ...] = ()
    bundles_directory: Path | None = None
    core_address: str | None = None

    def malformed(self) -> Iterator[str]:
        """What no runner can launch, as texts for people."""
        if not self.argv or not os.path.isabs(self.argv[0]):  # noqa: PTH117 - argv is text
            yield "argv must begin with the absolute path of the program"
        if not self.run_directory.is_absolute():
            yield f"run directory {str(self.run_directory)!r} is not absolute"
        if any("\0" in text for text in (*self.argv, *self.environment, *self.environment.values())):
            yield "an argument or variable contains a zero byte"
        if any(not name or "=" in name for name in self.environment):
            yield "a variable has an empty name or one with '='"


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a launch ended.

    Attributes:
        exit_code: as by `wait`; negative is the number of the signal that killed it; None when unknown.
        memory_peak_bytes: largest resident memory of any of its processes, None when unknown.
        cpu_usage_usec: user and system time of all its processes, None when unknown.
        started: False when the program certainly never ran; then `error` says why.
        timed_out: the launch reached its timeout and was stopped for that.
        error: one line about a program that could not be started.
        permanent: with `started` False, that trying the same again is useless.
        out_of_memory: the kernel killed processes of the launch because they needed more memory than they may have.
    """

    exit_code: int | None
    memory_peak_bytes: int | None = None
    cpu_usage_usec: int | None = None
    started: bool = True
    timed_out: bool = False
    error: str | None = None
    permanent: bool = False
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether a runner can do one thing on this host, and why not."""

    available: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunnerProbe:
    """What a runner can do on this host.

    Attributes:
        available: it can launch at all; `reason` says why not.
        capabilities: by name: `memory_limit`, `cpu_limit`, `process_limit`, `file_size_limit`, `open_files_limit`,
            `tmp_limit`, `network_host`, `network_none`, `network_pasta`, ... What is not there is not offered.
        isolation: what keeps programs from the host and from each other, shown wherever the runner is shown. It begins
            with `none`, with `user` where programs run as users of their own, or with `container`; details may follow
            behind a comma.
    """

    available: bool
    isolation: str
    capabilities: Mapping[str, Capability] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunnerHost:
    """What an environment tells a runner of itself, before it asks for anything.

    Attributes:
        data_directory: where run directories, artifacts and core's socket are; absolute, and there already.
        trusts_programs: the programs are the operator's own, as with `runtara run`: they may do what the operator may.
        bundles_directory: that of its launches; None where it has not been chosen.
    """

    data_directory: Path
    trusts_programs: bool = False
    bundles_directory: Path | None = None


class LaunchedProcess(ABC):
    """A process that a runner started, in this daemon's life or in an earlier one."""

    @property
    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `Runner.attach` needs to find the process again; JSON-able, without secrets."""

    @abstractmethod
    async def wait(self) -> ProcessExit:
        """Return once the process and its descendants are dead. May be called any number of times, also at once."""

    @abstractmethod
    async def stop(self, grace_seconds: float) -> ProcessExit:
        """Ask the process to end, kill it and its descendants after the grace, return once they are dead.

        Raises `StopError` when the death cannot be confirmed. Stopping a dead process is harmless.
        """

    async def cpu_usage_usec(self) -> int | None:
        """Processor time that its processes have used so far; None when nobody can say."""
        return None

    @abstractmethod
    async def output_tail(self, stream: Literal["stdout", "stderr"], *, limit_bytes: int = DEFAULT_TAIL_BYTES) -> str:
        """The newest output, at most `limit_bytes` of it, undecodable bytes replaced."""


class Runner(ABC):
    """Starts programs and finds them again.

    Attributes:
        runner_type: its name, by which settings and images choose it.
        default_limits: the bounds of a launch whose `Limits` name none.
    """

    runner_type: ClassVar[str]
    default_limits: ClassVar[Limits] = Limits()

    def prepare(self, host: RunnerHost) -> None:  # noqa: B027 - most runners need not know
        """Hear of the environment that launches, once and before `probe`; never called where there is none."""

    def check_settings(self) -> None:  # noqa: B027 - most runners have no variables
        """Raise `ConfigurationError` when a variable of this runner means nothing; it names value and remedy.

        Called when an environment starts, whichever runner launches there: an image may ask for this one.
        """

    @abstractmethod
    async def probe(self) -> RunnerProbe:
        """What works on this host."""

    @abstractmethod
    async def launch(self, spec: LaunchSpec) -> LaunchedProcess:
        """Start the program. A program that turns out not to be executable is reported by `wait` (`started=False`).

        Raises `LaunchError` when nothing was started.
        """

    @abstractmethod
    async def attach(self, state: Mapping[str, Any]) -> LaunchedProcess | None:
        """Find the launch of a planned or launched state, running or ended.

        None means that nothing was started, and from now on nothing will be: a launch of the same epoch that is
        still on its way gives up.
        """

    def core_obstacle(self, network: NetworkMode, core_address: str) -> str | None:
        """Why programs with this network could not reach core at an address, with the remedy; None when they can."""
        return None

    def planned_state(self, spec: LaunchSpec) -> dict[str, Any]:
        """What to persist before `launch`, so that `attach` can settle a launch whose outcome is not known."""
        return {"run_directory": str(spec.run_directory), "epoch": spec.epoch}
