"""Where a capability is tested: the interface of a place, and what passes between it and the service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtara_environment.agents.listing import InstalledCapability

TEST_CAPABILITY_ERROR = "TEST_CAPABILITY_ERROR"
RUNNER_UNAVAILABLE = "RUNNER_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class CapabilityCall:
    """One call that is to be made.

    Attributes:
        tenant_id: for whom.
        capability: of which agent, and where its definition is.
        input_json: JSON object of the inputs, checked.
        connection_json: JSON object of a connection with its secrets, checked; None without one.
        timeout_ms: bound of the call, with the start of what makes it.
        runner: the type of the runner that makes it; None is the environment's own.
    """

    tenant_id: str
    capability: InstalledCapability
    input_json: bytes
    connection_json: bytes | None
    timeout_ms: int
    runner: str | None = None


@dataclass(frozen=True, slots=True)
class CapabilityOutcome:
    """What came of a call.

    Attributes:
        output_json: the result; None when it failed.
        error: the structured error `{code, message, category, severity, ...}` when it failed.
        execution_time_ms: how long it took, with the start of what makes it.
    """

    output_json: bytes | None = None
    error: Mapping[str, Any] | None = None
    execution_time_ms: int = 0

    @classmethod
    def failure(
        cls, code: str, message: str, *, may_pass: bool = False, execution_time_ms: int = 0
    ) -> CapabilityOutcome:
        """A failure in the form of an agent's error; `may_pass` when the same call may succeed later."""
        category, severity = ("transient", "warning") if may_pass else ("permanent", "error")
        error = {"code": code, "message": message, "category": category, "severity": severity}
        return cls(error=error, execution_time_ms=execution_time_ms)


class CapabilityHost(ABC):
    """A place where capabilities are called, apart from the daemon."""

    @abstractmethod
    async def call(self, call: CapabilityCall) -> CapabilityOutcome:
        """Make a call, once. Every failure of the capability and of its process is an outcome.

        When it returns, raises or is cancelled, nothing that it started is left: neither processes nor files.
        """
