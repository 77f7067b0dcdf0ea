"""What `test_capability` checks before a call is made, and what it makes of the end of one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from runtara_environment.agents.capability_host import CapabilityCall, CapabilityHost, CapabilityOutcome
from runtara_environment.agents.capability_tests import CapabilityTests
from runtara_environment.agents.listing import AgentListing, AgentListingError, InstalledAgents
from runtara_environment.settings import AgentTestingSettings
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader

AGENT = {
    "info": {"id": "weather", "capabilities": [{"id": "forecast", "aliases": ["predict"], "inputs": []}]},
    "schemas": {"forecast": {"inputSchema": {"type": "object"}, "outputSchema": {}}},
    "module": "weather_agent",
    "attribute": "agent",
}


class KnownListing(AgentListing):
    """Has one agent, without a process that says so."""

    error: AgentListingError | None = None

    async def list_agents(self) -> InstalledAgents:
        if self.error is not None:
            raise self.error
        return InstalledAgents((AGENT,))


class NotedCalls(CapabilityHost):
    """A place that notes its calls; each takes until it is released."""

    def __init__(self) -> None:
        self.calls: list[CapabilityCall] = []
        self.released = asyncio.Event()
        self.ended = 0

    async def call(self, call: CapabilityCall) -> CapabilityOutcome:
        self.calls.append(call)
        try:
            await self.released.wait()
        finally:
            self.ended += 1
        return CapabilityOutcome(output_json=b"1", execution_time_ms=5)


class Laboratory:
    """Tests of the one agent."""

    def __init__(self, *, enabled: bool = True, max_tests: int = 4) -> None:
        self.listing = KnownListing()
        self.place = NotedCalls()
        self.tests = CapabilityTests(self.listing, self.place, AgentTestingSettings(enabled, max_tests))

    async def __call__(self, agent: str = "weather", capability: str = "forecast", **given: Any) -> CapabilityOutcome:
        return await self.tests.test_capability("acme", agent, capability, **given)


def code(outcome: CapabilityOutcome) -> str:
    assert outcome.error is not None
    return str(outcome.error["code"])


async def test_a_call_is_handed_over_as_it_was_given() -> None:
    laboratory = Laboratory()
    laboratory.place.released.set()
    outcome = await laboratory("Weather", "predict", input_json=b'\xef\xbb\xbf{"degrees": 0.10}', connection_json=b"{}")
    assert (outcome.output_json, outcome.error) == (b"1", None)
    (call,) = laboratory.place.calls
    assert (call.tenant_id, call.capability.agent_id, call.capability.capability_id) == ("acme", "weather", "forecast")
    assert (call.input_json, call.connection_json, call.timeout_ms) == (b'{"degrees": 0.10}', b"{}", 30_000)
    await laboratory()
    assert (laboratory.place.calls[1].input_json, laboratory.place.calls[1].connection_json) == (b"{}", None)


@pytest.mark.parametrize(
    ("given", "expected", "text"),
    [
        ({"input_json": b"\xff"}, "VALIDATION_ERROR", "the input is not JSON"),
        ({"input_json": b"1"}, "VALIDATION_ERROR", "the input must be a JSON object"),
        ({"connection_json": b""}, "VALIDATION_ERROR", "the connection is not JSON"),
        ({"connection_json": b"null"}, "VALIDATION_ERROR", "the connection must be a JSON object"),
        ({"input_json": b" " * 13_000_000}, "VALIDATION_ERROR", "the input has 13000000 bytes"),
        ({"timeout_ms": 0}, "VALIDATION_ERROR", "give 1 to 300000 milliseconds"),
        ({"timeout_ms": 300_001}, "VALIDATION_ERROR", "give 1 to 300000 milliseconds"),
        ({"agent": "wether"}, "UNKNOWN_CAPABILITY", "there is no agent 'wether' here; there are weather"),
        ({"capability": "Forecast"}, "UNKNOWN_CAPABILITY", "no capability 'Forecast'; did you mean 'forecast'?"),
        ({"capability": "x" * 500}, "UNKNOWN_CAPABILITY", f"no capability '{'x' * 100}'; it has forecast, predict"),
    ],
)
async def test_what_cannot_be_called_is_refused(given: dict[str, Any], expected: str, text: str) -> None:
    laboratory = Laboratory()
    outcome = await laboratory(**given)
    assert code(outcome) == expected
    assert outcome.error is not None
    assert text in outcome.error["message"]
    assert laboratory.place.calls == []


async def test_tests_have_to_be_allowed() -> None:
    assert code(await Laboratory(enabled=False)()) == "AGENT_TESTING_DISABLED"
    assert not AgentTestingSettings.from_environment(EnvironmentReader({})).enabled
    given = EnvironmentReader({"ENABLE_AGENT_TESTING": "true", "RUNTARA_MAX_AGENT_TESTS": "9"})
    assert AgentTestingSettings.from_environment(given) == AgentTestingSettings(enabled=True, max_tests=9)
    refusing = EnvironmentReader({"ENABLE_AGENT_TESTING": "no"})
    assert not AgentTestingSettings.from_environment(refusing, enabled=True).enabled
    with pytest.raises(ConfigurationError, match="RUNTARA_MAX_AGENT_TESTS"):
        AgentTestingSettings.from_environment(EnvironmentReader({"RUNTARA_MAX_AGENT_TESTS": "0"}))


async def test_agents_that_cannot_be_listed_fail_a_test_with_the_reason() -> None:
    laboratory = Laboratory()
    laboratory.listing.error = AgentListingError("no such bundle", retryable=True)
    outcome = await laboratory()
    assert outcome.error == {
        "code": "TEST_CAPABILITY_ERROR",
        "message": "no such bundle",
        "category": "transient",
        "severity": "warning",
    }


async def test_a_call_ends_with_its_caller_and_with_the_environment() -> None:
    laboratory = Laboratory()
    calls = [asyncio.create_task(laboratory()) for _ in range(2)]
    while len(laboratory.place.calls) < 2:
        await asyncio.sleep(0)
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    assert laboratory.place.ended == 1
    await laboratory.tests.close()
    assert (code(await calls[1]), laboratory.place.ended) == ("ENVIRONMENT_STOPPING", 2)
    assert code(await laboratory()) == "ENVIRONMENT_STOPPING"


async def test_more_calls_than_may_be_are_refused() -> None:
    laboratory = Laboratory(max_tests=1)
    first = asyncio.create_task(laboratory())
    while not laboratory.place.calls:
        await asyncio.sleep(0)
    laboratory.tests._slots._max_waiting = 0
    assert code(await laboratory()) == "TOO_MANY_TESTS"
    laboratory.place.released.set()
    assert (await first).output_json == b"1"
