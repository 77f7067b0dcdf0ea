"""What a start fixes for every launch of its instance; kept with the instance, opaque to core."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits

DEFAULT_CANCEL_GRACE_SECONDS = 30
"""How long the program of a cancelled instance has to end by itself where the start names no other time."""

_RESERVED_PREFIX = "RUNTARA_"
_TUNABLE_NAMES = frozenset(
    {
        "RUNTARA_CONNECT_TIMEOUT_MS",
        "RUNTARA_HEARTBEAT_INTERVAL_MS",
        "RUNTARA_RECONNECT_DEADLINE_MS",
        "RUNTARA_REQUEST_TIMEOUT_MS",
        "RUNTARA_SIGNAL_POLL_INTERVAL_MS",
        "RUNTARA_SLEEP_THRESHOLD",
    }
)
"""What a start may tune of its program; no identity, address or trust is among them."""

_RESERVED_NAMES = frozenset({"DATA_DIR", "PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"})
_MAX_VARIABLES = 200
_MAX_NAME_CHARACTERS = 255
_MAX_VARIABLE_BYTES = 32 * 1024
_MAX_VARIABLES_BYTES = 1024 * 1024  # Linux starts no program with more than 2 MiB of them, its arguments included


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """Options of every launch of one instance.

    Attributes:
        digest: SHA-256 of the artifact, so that a new version of the image does not change a started instance.
        timeout_seconds: bound of one launch, at least 1; None takes the environment's default.
        env: further variables for the program.
        cancel_grace_seconds: how long the program has to obey a cancel before it is killed, from 0 on; None takes
            `DEFAULT_CANCEL_GRACE_SECONDS`.
        limits: bounds that the start asked for.
        image_limits: bounds that the image had when the instance was started, or forked to it.
        runner: the runner that the image named then; None leaves it to the environment.
    """

    digest: str
    timeout_seconds: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cancel_grace_seconds: int | None = None
    limits: ResourceLimits = UNLIMITED
    image_limits: ResourceLimits = UNLIMITED
    runner: str | None = None

    @property
    def asked_limits(self) -> ResourceLimits:
        """What start and image ask for; the start comes first."""
        return self.limits.over(self.image_limits)

    def encode(self) -> bytes:
        """As JSON."""
        fields = {
            "digest": self.digest,
            "timeout_seconds": self.timeout_seconds,
            "env": dict(self.env),
            "cancel_grace_seconds": self.cancel_grace_seconds,
            "limits": self.limits.given(),
            "image_limits": self.image_limits.given(),
            "runner": self.runner,
        }
        return json.dumps(fields, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> LaunchOptions:
        """From JSON, fields that are not known ignored; raises `InvalidInputError` when it is not that."""
        try:
            return cls._checked(json.loads(data))
        except (ValueError, TypeError, KeyError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise InvalidInputError(f"the instance's launch options are not readable: {reason}") from None

    @classmethod
    def _checked(cls, fields: object) -> LaunchOptions:
        if not isinstance(fields, dict):
            raise TypeError("they are not a JSON object")
        digest, timeout_seconds, env = fields["digest"], fields.get("timeout_seconds"), fields.get("env", {})
        if not isinstance(digest, str):
            raise TypeError("digest is not text")
        if timeout_seconds is not None and (type(timeout_seconds) is not int or timeout_seconds < 1):
            raise ValueError("timeout_seconds is not a positive integer")
        if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
            raise TypeError("env is not an object of texts")
        grace = fields.get("cancel_grace_seconds")
        if grace is not None and (type(grace) is not int or grace < 0):
            raise ValueError("cancel_grace_seconds is not an integer from 0 on")
        runner = fields.get("runner")
        if runner is not None and not isinstance(runner, str):
            raise TypeError("runner is not text")
        limits = ResourceLimits.from_json(fields.get("limits", {}))
        image_limits = ResourceLimits.from_json(fields.get("image_limits", {}), "image_limits")
        return cls(digest, timeout_seconds, env, grace, limits, image_limits, runner)


def require_acceptable_variables(env: Mapping[str, str]) -> None:
    """Refuse variables that would override the system's; raises `InvalidInputError` naming the variable."""
    if len(env) > _MAX_VARIABLES:
        raise InvalidInputError(f"env has {len(env)} variables; at most {_MAX_VARIABLES} are accepted")
    total_bytes = 0
    for name, value in env.items():
        if (name.startswith(_RESERVED_PREFIX) and name not in _TUNABLE_NAMES) or name in _RESERVED_NAMES:
            raise InvalidInputError(f"env: {name} is reserved for the system; choose another name")
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise InvalidInputError(f"env: {name!r} is not usable as a variable")
        if len(name) > _MAX_NAME_CHARACTERS:
            raise InvalidInputError(
                f"env: the name {name[:40]!r}... is longer than {_MAX_NAME_CHARACTERS} characters; choose a shorter one"
            )
        value_bytes = len(value.encode("utf-8", "surrogatepass"))
        total_bytes += len(name.encode("utf-8", "surrogatepass")) + value_bytes + 2
        if value_bytes > _MAX_VARIABLE_BYTES:
            raise InvalidInputError(f"env: {name} is longer than {_MAX_VARIABLE_BYTES} bytes; pass it in the input")
    if total_bytes > _MAX_VARIABLES_BYTES:
        raise InvalidInputError(
            f"env has {total_bytes} bytes, more than {_MAX_VARIABLES_BYTES}; pass large values in the input"
        )
