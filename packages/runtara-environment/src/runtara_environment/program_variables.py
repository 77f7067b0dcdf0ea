"""Variables that the daemon does not use itself, but hands on: read at the start, so that no launch is the first to.

The HTTP agent and the steps of workflows read them again in each program, where a wrong one would fail every instance.
"""

from __future__ import annotations

import ipaddress

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader

from runtara_environment.supervision.guest_network import ALLOWED_NETWORKS_VARIABLE

_SIZES = ("RUNTARA_MAX_WORKSPACE_BYTES", "RUNTARA_MAX_FILE_SIZE", "RUNTARA_MAX_READ_SIZE")
_RESULT = "RUNTARA_MAX_RESULT_BYTES"

LIMIT_VARIABLES = (*_SIZES, _RESULT)
"""Bounds of what a program may leave behind: the operator's, whatever a start says."""

_LEAST_RESULT_BYTES = 1024
_MOST_RESULT_BYTES = 32 * 1024 * 1024


def check_program_variables(reader: EnvironmentReader) -> None:
    """Raise `ConfigurationError` for a variable that programs could not read."""
    for name in _SIZES:
        reader.integer(name, 1, minimum=1)
    reader.integer(_RESULT, _LEAST_RESULT_BYTES, minimum=_LEAST_RESULT_BYTES, maximum=_MOST_RESULT_BYTES)
    for network in filter(None, map(str.strip, reader.text(ALLOWED_NETWORKS_VARIABLE, "").split(","))):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise ConfigurationError(
                f"{ALLOWED_NETWORKS_VARIABLE}: {network[:100]!r} is neither a network such as 10.1.0.0/16 nor an "
                "address: separate several with commas"
            ) from None
