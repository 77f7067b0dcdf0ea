"""What an image or a start may ask of its launches, decided before anything is stored."""

from __future__ import annotations

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.resource_limits import ResourceLimits

from runtara_environment.limit_policy import LimitPolicy, unenforceable
from runtara_environment.runners.available import AvailableRunners, RunnerUnavailableError


class LaunchRules:
    """The operator's maxima, and what the runners of this host can enforce."""

    def __init__(self, policy: LimitPolicy, runners: AvailableRunners) -> None:
        self._policy = policy
        self._runners = runners

    async def require_acceptable(self, asked: ResourceLimits, runner: str | None) -> None:
        """Raise `InvalidInputError` for bounds that are not allowed, or that the runner here cannot enforce.

        A runner that does not work here is left to another environment.
        """
        self._policy.require_allowed(asked)
        try:
            ready = await self._runners.get(runner)
        except RunnerUnavailableError:
            return
        problem = unenforceable(asked, ready.name, ready.probe)
        if problem is not None:
            raise InvalidInputError(f"{problem}: leave it out, or register the image with a runner that can")

    async def warning(self, runner: str | None) -> str | None:
        """Why the runner that an image names does not work here; None when it does, or none is named."""
        try:
            await self._runners.get(runner)
        except RunnerUnavailableError as error:
            return f"its instances wait for another environment: {error.message}"
        return None
