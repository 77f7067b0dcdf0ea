"""Which runner launches, and what of the network its programs see: what was asked for, or what works here."""

from __future__ import annotations

import logging
from collections.abc import Collection

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport.address import is_local

from runtara_environment.runner import NetworkMode, Runner, RunnerHost, RunnerProbe
from runtara_environment.runners.loading import LoadedRunners

_logger = logging.getLogger(__name__)

_CONTAINERS_FIRST = ("oci", "native")
_PROCESSES_FIRST = ("native", "oci")


def check_settings(runners: LoadedRunners, image_runners: Collection[str]) -> None:
    """Read the variables of all runners, and the names of those that images may name, before one of them is used.

    Raises `ConfigurationError` naming what is wrong.
    """
    for name in image_runners:
        if name not in runners.runners and name not in _CONTAINERS_FIRST:  # those may be disabled
            raise ConfigurationError(
                f"RUNTARA_IMAGE_RUNNERS={','.join(image_runners)!r}: there is no runner {name!r}: name some of "
                f"{', '.join(sorted(runners.runners))}, separated by commas"
            )
    for name, runner in runners.runners.items():
        try:
            runner.check_settings()
        except ConfigurationError:
            raise
        except Exception:  # plugins may raise anything
            _logger.exception("the runner %s cannot say whether its variables are right", name)


async def choose_runner(
    name: str, runners: LoadedRunners, *, prefer_containers: bool, host: RunnerHost | None = None
) -> tuple[Runner, RunnerProbe]:
    """The runner `name` and its probe; `auto` takes the first of containers and plain processes that works.

    Args:
        name: the type of an installed runner, or `auto`.
        runners: what is installed.
        prefer_containers: `auto` looks at containers first.
        host: what a runner is told before it is probed.

    Raises `ConfigurationError` with the probe's reason; a runner asked for by name is never replaced by another.
    """
    if name != "auto":
        runner = runners.get(name)
        probe = await _probe(runner, host)
        if not probe.available:
            raise ConfigurationError(f"runner {name} does not work on this machine: {probe.reason}")
        return runner, probe
    reasons = []
    for candidate in _CONTAINERS_FIRST if prefer_containers else _PROCESSES_FIRST:
        if candidate not in runners.runners:
            continue
        runner = runners.runners[candidate]
        probe = await _probe(runner, host)
        if probe.available:
            return runner, probe
        reasons.append(f"{candidate}: {probe.reason}")
    raise ConfigurationError(f"no runner works on this machine: {'; '.join(reasons) or 'none is installed'}")


def choose_network(wanted: NetworkMode | None, runner: Runner, probe: RunnerProbe, core_address: str) -> NetworkMode:
    """What of the network programs see; without a wish none where the runner can do that, else the host's.

    Raises `ConfigurationError` when the runner cannot make such a network, or core is out of reach in it.
    """
    mode = wanted or (NetworkMode.NONE if _offers(probe, NetworkMode.NONE) else NetworkMode.HOST)
    if mode is not NetworkMode.HOST and not _offers(probe, mode):
        capability = probe.capabilities.get(f"network_{mode}")
        reason = capability.reason if capability else "it does not offer that"
        raise ConfigurationError(
            f"RUNTARA_NETWORK_MODE={mode} does not work with runner {runner.runner_type}: {reason}"
        )
    if mode is NetworkMode.NONE and not is_local(core_address):
        raise ConfigurationError(
            f"programs of runner {runner.runner_type} have no network and cannot reach core at {core_address}: "
            "give environment and core the same DATA_DIR, where they have a socket, and leave RUNTARA_CORE_ADDR out; "
            "or set RUNTARA_NETWORK_MODE to pasta or host"
        )
    obstacle = runner.core_obstacle(mode, core_address)
    if obstacle is not None:
        raise ConfigurationError(obstacle)
    return mode


def _offers(probe: RunnerProbe, mode: NetworkMode) -> bool:
    capability = probe.capabilities.get(f"network_{mode}")
    return capability is not None and capability.available


async def _probe(runner: Runner, host: RunnerHost | None) -> RunnerProbe:
    """The answer of a runner; one whose probe fails, which is a fault of its plugin, does not work here."""
    try:
        if host is not None:
            runner.prepare(host)
        return await runner.probe()
    except ConfigurationError:
        raise  # a variable of the runner, which the operator has set
    except Exception as error:  # noqa: BLE001 - plugins may raise anything
        return RunnerProbe(False, "unknown", reason=f"its probe failed: {type(error).__name__}: {error}")
