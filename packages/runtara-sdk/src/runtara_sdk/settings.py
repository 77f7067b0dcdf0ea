"""Reading of environment variables: the only place of the SDK that knows their syntax."""

from __future__ import annotations

import os
from collections.abc import Mapping

from runtara_sdk.errors import ConfigurationError

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


class EnvironmentReader:
    """Typed access to variables; an unusable value raises `ConfigurationError` naming variable, value and remedy."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    @classmethod
    def of_process(cls, **overrides: object) -> EnvironmentReader:
        """The process's variables, with those replaced that a command line gave (None was not given)."""
        given = {name: str(value) for name, value in overrides.items() if value is not None}
        return cls({**os.environ, **given})

    def text(self, name: str, default: str) -> str:
        """The value, or `default` when unset or empty."""
        return self._variables.get(name) or default

    def optional_text(self, name: str) -> str | None:
        """The value, or None when unset or empty."""
        return self._variables.get(name) or None

    def required_text(self, name: str, purpose: str) -> str:
        """The value; `purpose` completes the error message when it is missing."""
        value = self._variables.get(name)
        if not value:
            raise ConfigurationError(f"{name} is not set: {purpose}")
        return value

    def integer(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**63 - 1) -> int:
        """A whole number within bounds."""
        value = self._variables.get(name)
        if not value:
            return default
        try:
            number = int(value)
        except ValueError:
            raise ConfigurationError(
                f"{name}={value!r} is not a whole number: set it to one between {minimum} and {maximum}"
            ) from None
        if not minimum <= number <= maximum:
            raise ConfigurationError(f"{name}={value!r} must lie between {minimum} and {maximum}")
        return number

    def port(self, name: str, default: int) -> int:
        """A UDP port; 0 lets the system choose."""
        return self.integer(name, default, maximum=65535)

    def boolean(self, name: str, *, default: bool) -> bool:
        """One of 1/true/yes/on or 0/false/no/off, in any case."""
        value = self._variables.get(name)
        if value is None:
            return default
        lowered = value.strip().lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
        raise ConfigurationError(f"{name}={value!r} is not a boolean: use true or false")
