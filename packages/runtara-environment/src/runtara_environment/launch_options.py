"""What a start fixes for every launch of its instance; kept with the instance, opaque to core."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from runtara_sdk.errors import InvalidInputError

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
_MAX_VARIABLE_BYTES = 32 * 1024


class LaunchOptions(BaseModel):
    """Options of every launch of one instance.

    Attributes:
        digest: SHA-256 of the artifact, so that a new version of the image does not change a started instance.
        timeout_seconds: bound of one launch; None takes the environment's default.
        env: further variables for the program.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    digest: str
    timeout_seconds: int | None = Field(default=None, ge=1)
    env: dict[str, str] = Field(default_factory=dict)

    def encode(self) -> bytes:
        """As JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def decode(cls, data: bytes) -> LaunchOptions:
        """From JSON; raises `InvalidInputError` when it is not that."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise InvalidInputError(
                f"the instance's launch options are not readable: {error.errors()[0]['msg']}"
            ) from None


def require_acceptable_variables(env: Mapping[str, str]) -> None:
    """Refuse variables that would override the system's; raises `InvalidInputError` naming the variable."""
    if len(env) > _MAX_VARIABLES:
        raise InvalidInputError(f"env has {len(env)} variables; at most {_MAX_VARIABLES} are accepted")
    for name, value in env.items():
        if (name.startswith(_RESERVED_PREFIX) and name not in _TUNABLE_NAMES) or name in _RESERVED_NAMES:
            raise InvalidInputError(f"env: {name} is reserved for the system; choose another name")
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise InvalidInputError(f"env: {name!r} is not usable as a variable")
        if len(value.encode("utf-8", "surrogatepass")) > _MAX_VARIABLE_BYTES:
            raise InvalidInputError(f"env: {name} is longer than {_MAX_VARIABLE_BYTES} bytes; pass it in the input")
