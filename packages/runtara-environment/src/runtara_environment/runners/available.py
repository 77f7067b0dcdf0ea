"""The runner of a launch: the one that the image or the test of a capability names, or the environment's own.

An image that names a runner is launched by that one and by no other. Where that one is not installed, does not work or
may not be named, the instance waits for another environment, or until it works here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from runtara_sdk.clock import Clock
from runtara_sdk.errors import ConfigurationError, RuntaraError

from runtara_environment.runner import NetworkMode, Runner, RunnerHost, RunnerProbe
from runtara_environment.runners.choosing import choose_network, choose_runner
from runtara_environment.runners.loading import LoadedRunners

_TRY_AGAIN_MS = 10_000


class RunnerUnavailableError(RuntaraError):
    """This host cannot launch with the runner that an image names, or not within the bounds that it asks for."""

    code = "RUNNER_UNAVAILABLE"
    retryable = True


@dataclass(frozen=True, slots=True)
class ReadyRunner:
    """A runner that works on this host, and what of the network its programs see."""

    runner: Runner
    probe: RunnerProbe
    network: NetworkMode

    @property
    def name(self) -> str:
        """The type of the runner."""
        return self.runner.runner_type


class AvailableRunners:
    """The runners that this environment launches with."""

    def __init__(
        self,
        installed: LoadedRunners,
        own: ReadyRunner,
        clock: Clock,
        *,
        network: NetworkMode | None = None,
        core_address: str = "",
        nameable: Collection[str] = ("oci",),
        host: RunnerHost | None = None,
    ) -> None:
        """What there is.

        Args:
        installed: the runners of this installation.
        own: launches images that name no runner.
        clock: source of the time of probes.
        network: what of the network programs shall see; None leaves it to the runner.
        core_address: where programs reach core.
        nameable: which runners an image or a test may name, beside the environment's own.
        host: what a runner is told before it is probed.
        """
        self._installed = installed
        self._own = own
        self._clock = clock
        self._network = network
        self._core_address = core_address
        self._nameable = frozenset(nameable)
        self._host = host
        self._ready: dict[str, ReadyRunner] = {}
        self._failed: dict[str, tuple[str, int]] = {}

    @property
    def own(self) -> ReadyRunner:
        """The runner of images that name none."""
        return self._own

    async def get(self, name: str | None) -> ReadyRunner:
        """The runner that was named; raises `RunnerUnavailableError`, never gives another one."""
        if name is None or name == self._own.name:
            return self._own
        if name not in self._installed.runners and name not in self._nameable:
            installed = ", ".join(sorted(self._installed.runners))
            raise RunnerUnavailableError(
                f"the runner {name} that was asked for is not installed here: installed are {installed}"
            )
        if name not in self._nameable:
            raise RunnerUnavailableError(
                f"this environment launches nothing with the runner {name} that was asked for: "
                "its operator may list it in RUNTARA_IMAGE_RUNNERS"
            )
        if name not in self._ready:
            self._ready[name] = await self._try(name)
        return self._ready[name]

    async def _try(self, name: str) -> ReadyRunner:
        reason, tried_at_ms = self._failed.get(name, ("", None))
        now_ms = self._clock.now_ms()
        if tried_at_ms is None or not 0 <= now_ms - tried_at_ms < _TRY_AGAIN_MS:
            try:
                runner, probe = await choose_runner(name, self._installed, prefer_containers=False, host=self._host)
                network = choose_network(self._network, runner, probe, self._core_address)
                return ReadyRunner(runner, probe, network)
            except ConfigurationError as error:
                reason = error.message
                self._failed[name] = (reason, now_ms)
        raise RunnerUnavailableError(f"the runner {name} was asked for: {reason}")
