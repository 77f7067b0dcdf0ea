"""Which runner launches: the one asked for, or the most isolating one that works here."""

from __future__ import annotations

from runtara_sdk.errors import ConfigurationError

from runtara_environment.runner import Runner, RunnerProbe
from runtara_environment.runners.loading import LoadedRunners

_PREFERENCE = ("oci", "native")


async def choose_runner(name: str, runners: LoadedRunners) -> tuple[Runner, RunnerProbe]:
    """The runner `name` and its probe; `auto` takes the first that works: containers before plain processes.

    Raises `ConfigurationError` with the probe's reason; a runner asked for by name is never replaced by another.
    """
    if name != "auto":
        runner = runners.get(name)
        probe = await _probe(runner)
        if not probe.available:
            raise ConfigurationError(f"runner {name} does not work on this machine: {probe.reason}")
        return runner, probe
    reasons = []
    for candidate in _PREFERENCE:
        if candidate not in runners.runners:
            continue
        runner = runners.runners[candidate]
        probe = await _probe(runner)
        if probe.available:
            return runner, probe
        reasons.append(f"{candidate}: {probe.reason}")
    raise ConfigurationError(f"no runner works on this machine: {'; '.join(reasons) or 'none is installed'}")


async def _probe(runner: Runner) -> RunnerProbe:
    """The answer of a runner; one whose probe fails, which is a fault of its plugin, does not work here."""
    try:
        return await runner.probe()
    except Exception as error:  # noqa: BLE001 - plugins may raise anything
        return RunnerProbe(False, "unknown", reason=f"its probe failed: {type(error).__name__}: {error}")
