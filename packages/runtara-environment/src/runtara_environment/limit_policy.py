"""What launches may use: what image and start ask for, within what the operator of the environment allows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtara_sdk.errors import ConfigurationError, InvalidInputError
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits, format_limit
from runtara_sdk.settings import EnvironmentReader

from runtara_environment.runner import DEFAULT_OUTPUT_BYTES, Limits, RunnerProbe

logger = logging.getLogger(__name__)

_CAPABILITIES: Mapping[str, str] = {
    "memory_bytes": "memory_limit",
    "cpu_cores": "cpu_limit",
    "processes": "process_limit",
    "file_size_bytes": "file_size_limit",
    "open_files": "open_files_limit",
    "tmp_bytes": "tmp_limit",
}
"""What a runner has to be able to do for a bound. What is kept of outputs every runner bounds."""

_VARIABLES: Mapping[str, tuple[str, str]] = {
    "memory_bytes": ("RUNTARA_DEFAULT_MEMORY_BYTES", "RUNTARA_MAX_MEMORY_BYTES"),
    "cpu_cores": ("RUNTARA_DEFAULT_CPU_CORES", "RUNTARA_MAX_CPU_CORES"),
    "processes": ("RUNTARA_DEFAULT_PROCESSES", "RUNTARA_MAX_PROCESSES"),
    "tmp_bytes": ("RUNTARA_DEFAULT_TMP_BYTES", "RUNTARA_MAX_TMP_BYTES"),
    "output_bytes": ("RUNTARA_DEFAULT_OUTPUT_BYTES", "RUNTARA_MAX_OUTPUT_BYTES"),
}
"""Bounds that the operator has a say in: where nobody else names any, and at most."""
_DEFAULT, _MAX = 0, 1


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """The operator's word.

    Attributes:
        defaults: bounds of launches for which neither start nor image names any (RUNTARA_DEFAULT_*).
        maxima: the most that start and image may ask for, and that any launch has (RUNTARA_MAX_*).
    """

    defaults: ResourceLimits = UNLIMITED
    maxima: ResourceLimits = UNLIMITED

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> LimitPolicy:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        policy = cls(_read(reader, _DEFAULT), _read(reader, _MAX))
        for name, value in policy.defaults.given().items():
            most = getattr(policy.maxima, name)
            if most is not None and value > most:
                default_variable, most_variable = _VARIABLES[name]
                raise ConfigurationError(f"{default_variable}={value} is more than {most_variable}={most}")
        return policy

    def require_allowed(self, asked: ResourceLimits) -> None:
        """Raise `InvalidInputError` for what cannot be meant, or is more than launches may have."""
        asked.require_usable()
        for name, value in asked.given().items():
            most = getattr(self.maxima, name)
            if most is not None and value > most:
                raise InvalidInputError(
                    f"limits.{name} is {format_limit(name, value)}, and this environment allows at most "
                    f"{format_limit(name, most)}: ask for less, or let its operator raise {_VARIABLES[name][_MAX]}"
                )

    def of_launch(self, asked: ResourceLimits, own: Limits, probe: RunnerProbe) -> Limits:
        """The bounds of a launch.

        What was asked for comes first, then the operator's default, then the runner's own; never more than the
        operator allows. What was not asked for, and the runner cannot enforce, is left out.
        """
        bounds: dict[str, Any] = {}
        for name in (*_CAPABILITIES, "output_bytes"):
            given, most = getattr(asked, name), getattr(self.maxima, name)
            if given is None:
                given = getattr(self.defaults, name)
            if given is None and (name != "output_bytes" or most is not None):
                given = getattr(own, name)
            if given is None or (most is not None and given > most):
                given = most
            if given is not None and (getattr(asked, name) is not None or _obstacle(name, probe) is None):
                bounds[name] = given
        return Limits(**{"output_bytes": DEFAULT_OUTPUT_BYTES, **bounds})

    def warn_of_unenforced(self, runner_type: str, probe: RunnerProbe) -> None:
        """Tell the log which variables have no effect with a runner."""
        for name in {**self.defaults.given(), **self.maxima.given()}:
            obstacle = _obstacle(name, probe)
            if obstacle is not None:
                variables = " and ".join(_VARIABLES[name])
                logger.warning("%s bound no launch of the runner %s: %s", variables, runner_type, obstacle)


def unenforceable(asked: ResourceLimits, runner_type: str, probe: RunnerProbe) -> str | None:
    """Why a runner cannot keep a program within what was asked for; None when it can."""
    for name, value in asked.given().items():
        obstacle = _obstacle(name, probe)
        if obstacle is not None:
            given = f"limits.{name} is {format_limit(name, value)}"
            return f"{given}, and the runner {runner_type} cannot enforce it ({obstacle})"
    return None


def _obstacle(name: str, probe: RunnerProbe) -> str | None:
    if name not in _CAPABILITIES:
        return None
    capability = probe.capabilities.get(_CAPABILITIES[name])
    if capability is None:
        return "it does not offer that"
    return None if capability.available else capability.reason


def _read(reader: EnvironmentReader, kind: int) -> ResourceLimits:
    bounds: dict[str, Any] = {}
    for name, variables in _VARIABLES.items():
        text = reader.optional_text(variables[kind])
        if text is None:
            continue
        try:
            bounds[name] = float(text) if name == "cpu_cores" else int(text)
            ResourceLimits(**{name: bounds[name]}).require_usable()
        except ValueError:
            unit = "processors, such as 0.5" if name == "cpu_cores" else "plain digits, such as 1073741824"
            raise ConfigurationError(f"{variables[kind]}={text!r} is not a number: give {unit}") from None
        except InvalidInputError as error:
            raise ConfigurationError(f"{variables[kind]}={text!r}: {error.message}") from None
    return ResourceLimits(**bounds)
