"""`test_capability`: one call of a capability, made apart from the daemon to see what comes of it.

The call is really made, with all that it does: no retries, no checkpoint, no connection service. So it is served only
where ENABLE_AGENT_TESTING says so. Every failure is an outcome with a code.
"""

from __future__ import annotations

import asyncio
import codecs
import difflib

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import validate_identifier
from runtara_sdk.strict_json import parse_strict_json

from runtara_environment.agents.capability_host import (
    TEST_CAPABILITY_ERROR,
    CapabilityCall,
    CapabilityHost,
    CapabilityOutcome,
)
from runtara_environment.agents.listing import AgentListing, AgentListingError, InstalledAgents
from runtara_environment.call_slots import CallSlots, NoSlotError
from runtara_environment.settings import AgentTestingSettings

MAX_INPUT_BYTES = 12 * 1024 * 1024
"""Largest inputs of a test."""

DEFAULT_TIMEOUT_MS = 30_000
MAX_TIMEOUT_MS = 300_000

AGENT_TESTING_DISABLED = "AGENT_TESTING_DISABLED"
UNKNOWN_CAPABILITY = "UNKNOWN_CAPABILITY"
TOO_MANY_TESTS = "TOO_MANY_TESTS"
ENVIRONMENT_STOPPING = "ENVIRONMENT_STOPPING"

_SHOWN_CHARACTERS = 100
_SHOWN_NAMES = 20
_MAX_CONNECTION_BYTES = 1024 * 1024


class CapabilityTests:
    """Tests capabilities of the listed agents.

    Args:
        listing: the agents that there are.
        host: where calls are made.
        settings: whether they are made, and how many at a time.
    """

    def __init__(self, listing: AgentListing, host: CapabilityHost, settings: AgentTestingSettings) -> None:
        self._listing = listing
        self._host = host
        self._settings = settings
        self._slots = CallSlots(settings.max_tests)
        self._running: set[asyncio.Task[CapabilityOutcome]] = set()
        self._is_closing = False

    async def test_capability(
        self,
        tenant_id: str,
        agent_id: str,
        capability_id: str,
        *,
        input_json: bytes = b"",
        connection_json: bytes | None = None,
        timeout_ms: int | None = None,
        runner: str | None = None,
    ) -> CapabilityOutcome:
        """Call a capability once.

        Args:
            tenant_id: for whom.
            agent_id: id of the agent, in any case.
            capability_id: id or alias.
            input_json: JSON object of the inputs; empty stands for none.
            connection_json: JSON object of a connection with its secrets, handed over as `_connection`.
            timeout_ms: bound of the call, from 1 to 300 000; None is 30 000.
            runner: the type of the runner that makes the call; None is the environment's own.
        """
        if not self._settings.enabled:
            return CapabilityOutcome.failure(
                AGENT_TESTING_DISABLED,
                "this environment tests no capabilities, as a test does all that the capability does: "
                "its operator can allow it with ENABLE_AGENT_TESTING=true",
            )
        try:
            call = await self._call(tenant_id, agent_id, capability_id, input_json, connection_json, timeout_ms, runner)
            async with self._slots.slot(tenant_id):
                return await self._make(call)
        except InvalidInputError as error:
            return CapabilityOutcome.failure(error.code, error.message)
        except AgentListingError as error:
            return CapabilityOutcome.failure(TEST_CAPABILITY_ERROR, error.message, may_pass=error.retryable)
        except NoSlotError:
            text = "as many capabilities are being tested as may be at a time (RUNTARA_MAX_AGENT_TESTS): try again"
            return CapabilityOutcome.failure(TOO_MANY_TESTS, text, may_pass=True)
        except OSError as error:
            text = f"no process can be started for the test: {error.strerror or error}"
            return CapabilityOutcome.failure(TEST_CAPABILITY_ERROR, text, may_pass=True)

    async def close(self) -> None:
        """End the calls that are under way: each is a failure that may pass. New ones are refused."""
        self._is_closing = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _call(
        self,
        tenant_id: str,
        agent_id: str,
        capability_id: str,
        input_json: bytes,
        connection_json: bytes | None,
        timeout_ms: int | None,
        runner: str | None,
    ) -> CapabilityCall:
        """The call, checked; raises `InvalidInputError`, `AgentListingError`."""
        timeout_ms = DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms
        if not 1 <= timeout_ms <= MAX_TIMEOUT_MS:
            raise InvalidInputError(f"timeout_ms is {timeout_ms}: give 1 to {MAX_TIMEOUT_MS} milliseconds")
        validate_identifier("tenant_id", tenant_id)
        if runner is not None:
            validate_identifier("runner", runner)
        inputs = _object(input_json or b"{}", "the input", MAX_INPUT_BYTES)
        connection = None
        if connection_json is not None:
            connection = _object(connection_json, "the connection", _MAX_CONNECTION_BYTES)
        agents = await self._listing.list_agents()
        capability = agents.find(agent_id, capability_id)
        if capability is None:
            raise InvalidInputError(_unknown(agents, agent_id, capability_id), code=UNKNOWN_CAPABILITY)
        return CapabilityCall(tenant_id, capability, inputs, connection, timeout_ms, runner)

    async def _make(self, call: CapabilityCall) -> CapabilityOutcome:
        if self._is_closing:
            return _stopping()
        calling = asyncio.create_task(self._host.call(call), name=f"test for tenant {call.tenant_id}")
        self._running.add(calling)
        try:
            return await calling
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise  # nobody waits for it any more
            return _stopping()
        finally:
            self._running.discard(calling)


def _stopping() -> CapabilityOutcome:
    return CapabilityOutcome.failure(ENVIRONMENT_STOPPING, "the environment stops: try again", may_pass=True)


def _unknown(agents: InstalledAgents, agent_id: str, capability_id: str) -> str:
    """Which name is unknown, and which there are."""
    shown_agent, shown = agent_id[:_SHOWN_CHARACTERS], capability_id[:_SHOWN_CHARACTERS]
    if not agents.has_agent(agent_id):
        known = ", ".join(agents.agent_ids)
        return f"there is no agent {shown_agent!r} here; " + (f"there are {known}" if known else "there is none")
    names = agents.capability_names(agent_id)
    near = difflib.get_close_matches(shown, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names[:_SHOWN_NAMES])}"
    return f"agent {shown_agent!r} has no capability {shown!r}; {hint}"


def _object(content: bytes, source: str, most: int) -> bytes:
    """The JSON object as it came, so that its decimals keep their text."""
    if len(content) > most:
        raise InvalidInputError(f"{source} has {len(content)} bytes, more than {most}")
    if not isinstance(parse_strict_json(content, source), dict):
        raise InvalidInputError(f"{source} must be a JSON object")
    return content.removeprefix(codecs.BOM_UTF8)
