"""`ManagementSdk`: a program's or an operator's way to an environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.management.agents import AgentVerbs
from runtara_sdk.management.completion import await_end
from runtara_sdk.management.connection import EnvironmentClient
from runtara_sdk.management.history import HistoryVerbs
from runtara_sdk.management.hosts import HostVerbs
from runtara_sdk.management.images import ImageVerbs
from runtara_sdk.management.logs import LogVerbs
from runtara_sdk.management.models import HealthReport, InstanceInfo
from runtara_sdk.management.restarts import RestartVerbs
from runtara_sdk.management.settings import ManagementSettings
from runtara_sdk.management.steps import StepVerbs
from runtara_sdk.protocol import environment_pb2 as pb


class ManagementSdk(ImageVerbs, RestartVerbs, HistoryVerbs, LogVerbs, StepVerbs, AgentVerbs, HostVerbs):
    """Images, instances, agents and hosts of an environment.

    Every method makes one call and raises the `RuntaraError` that the environment named (`ImageNotFoundError`,
    `InstanceNotFoundError`, `InstanceExistsError`, `InvalidStateError`, ...), `TransportError` when it cannot be
    reached, `DeadlineExceededError` when it gave no answer within `request_timeout_ms`. Pages are bounded by the
    environment; `iterate_*` give every row of a list, a page at a time.
    """

    def __init__(
        self,
        settings: ManagementSettings | None = None,
        *,
        client: EnvironmentClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(settings or ManagementSettings.from_environment(), client=client)
        self._clock = clock or SystemClock()

    @classmethod
    def from_env(cls) -> Self:
        """With the environment that the variables name (RUNTARA_ENVIRONMENT_ADDR and the TLS ones)."""
        return cls(ManagementSettings.from_environment())

    @classmethod
    def localhost(cls) -> Self:
        """With the environment of this machine at its default port."""
        return cls(ManagementSettings.localhost())

    async def health_check(self) -> HealthReport:
        """Whether the environment and what it needs are well."""
        response = await self._call(pb.RpcRequest(health_check=pb.HealthCheckRequest()), "health_check")
        answer = response.health_check
        return HealthReport(answer.healthy, answer.version, answer.uptime_ms, answer.active_instances)

    async def wait_for_completion(
        self,
        instance_id: str,
        *,
        poll_interval: timedelta | float = 0.5,
        timeout: timedelta | float | None = None,
    ) -> InstanceInfo:
        """Wait until an instance has ended, through suspensions and restarts of the daemons (up to 2 min).

        Args:
            instance_id: the instance.
            poll_interval: a timedelta or seconds between two questions.
            timeout: a timedelta or seconds; None waits for ever. Raises `DeadlineExceededError` after it.
        """
        return await await_end(
            lambda: self.get_instance_status(instance_id),
            instance_id,
            clock=self._clock,
            interval_ms=_milliseconds(poll_interval),
            timeout_ms=None if timeout is None else _milliseconds(timeout),
        )

    async def run_instance(
        self,
        image_id: str,
        tenant_id: str,
        *,
        instance_id: str | None = None,
        input_envelope: Any = None,
        timeout_seconds: int | None = None,
        env: Mapping[str, str] | None = None,
        cancel_grace_seconds: int | None = None,
        poll_interval: timedelta | float = 0.5,
        timeout: timedelta | float | None = None,
    ) -> InstanceInfo:
        """`start_instance`, then `wait_for_completion`."""
        started = await self.start_instance(
            image_id,
            tenant_id,
            instance_id=instance_id,
            input_envelope=input_envelope,
            timeout_seconds=timeout_seconds,
            env=env,
            cancel_grace_seconds=cancel_grace_seconds,
        )
        return await self.wait_for_completion(started.instance_id, poll_interval=poll_interval, timeout=timeout)


def _milliseconds(duration: timedelta | float) -> int:
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not 0 <= seconds < 2**53 / 1000:
        raise InvalidInputError(f"{duration!r} is not a duration of 0 s or more")
    return round(seconds * 1000)
