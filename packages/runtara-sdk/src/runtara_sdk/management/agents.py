"""Agents of an environment: listed, shown, tested."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runtara_sdk.errors import CapabilityNotFoundError, InvalidInputError, ProtocolError
from runtara_sdk.identifiers import refuse_empty
from runtara_sdk.instance_error import InstanceError
from runtara_sdk.management.agent_models import AgentInfo, CapabilityInfo, CapabilityTestResult
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.outcome import encode_json
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.written_decimal import read_decimal

_TEST_TIMEOUT_MS = 30_000
_SPARE_MS = 60_000
"""Beyond the time of a test: for the listing and the other tests that it may wait for."""


class AgentVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that shows agents and tries their capabilities."""

    async def list_agents(self) -> tuple[AgentInfo, ...]:
        """Exactly the agents that workflows of the environment may use, by id.

        The first call after a change of what is installed takes some seconds.
        """
        message = pb.ListAgentsRequest(tenant_id=self.settings.tenant_id)
        response = await self._call(pb.RpcRequest(list_agents=message), "list_agents")
        documents = _json(response.list_agents.agents_json, "list_agents")
        if not isinstance(documents, list) or not all(isinstance(each, dict) for each in documents):
            raise ProtocolError("the environment answered list_agents with no list of agents")
        return tuple(AgentInfo.parse(each) for each in documents)

    async def get_capability(self, agent_id: str, capability_id: str) -> CapabilityInfo:
        """One capability by its id or an alias, with JSON Schemas; raises `CapabilityNotFoundError`."""
        message = pb.GetCapabilityRequest(agent_id=agent_id, capability_id=capability_id)
        response = await self._call(pb.RpcRequest(get_capability=message), "get_capability")
        answer = response.get_capability
        if not answer.found:
            raise CapabilityNotFoundError(
                f"the environment has no agent {agent_id!r} with a capability {capability_id!r}: `list_agents` and "
                "`runtara-ctl agents list` tell which there are"
            )
        document = _json(answer.capability_json, "get_capability")
        if not isinstance(document, dict):
            raise ProtocolError("the environment answered get_capability with no capability")
        return CapabilityInfo.parse(document)

    async def test_capability(
        self,
        agent_id: str,
        capability_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        tenant_id: str | None = None,
        connection: Mapping[str, Any] | None = None,
        timeout_ms: int | None = None,
        runner: str | None = None,
    ) -> CapabilityTestResult:
        """Call a capability once, really and with all that it does; nothing is retried or recorded.

        A call that failed is a result, too, also where the environment does not allow tests (AGENT_TESTING_DISABLED).

        Args:
            agent_id: the agent.
            capability_id: id or alias.
            inputs: JSON object; None stands for an empty one.
            tenant_id: for whom; None is the tenant of the settings or of the API key.
            connection: `{integration_id, parameters, ...}` with its secrets; the capability gets it as `_connection`.
            timeout_ms: bound of the call, up to 300 000; None is 30 000.
            runner: which runner makes the call, such as `native` or `oci`; None is the environment's own. One that the
                environment cannot use gives the result RUNNER_UNAVAILABLE, never a call elsewhere.
        """
        if timeout_ms is not None and not 1 <= timeout_ms < 2**32:
            raise InvalidInputError(f"timeout_ms is {timeout_ms}: give a number of milliseconds from 1 on")
        message = pb.TestCapabilityRequest(
            tenant_id=refuse_empty("tenant_id", tenant_id) or self.settings.tenant_id,
            agent_id=agent_id,
            capability_id=capability_id,
            input=encode_json(inputs or {}, "the input"),
            connection=None if connection is None else encode_json(connection, "the connection"),
            timeout_ms=timeout_ms,
            runner=refuse_empty("runner", runner),
        )
        patience_ms = (timeout_ms or _TEST_TIMEOUT_MS) + max(_SPARE_MS, self.settings.request_timeout_ms)
        response = await self._call(pb.RpcRequest(test_capability=message), "test_capability", timeout_ms=patience_ms)
        answer = response.test_capability
        return CapabilityTestResult(
            success=answer.success,
            output=_json(answer.output, "test_capability") if answer.success else None,
            error=None if answer.success else InstanceError.parse(answer.error or "the environment gave no reason"),
            execution_time_ms=answer.execution_time_ms,
        )


def _json(content: bytes, verb: str) -> Any:
    try:
        return json.loads(content, parse_float=read_decimal)
    except ValueError as error:
        raise ProtocolError(f"the environment answered {verb} with bytes that are not JSON: {error}") from None
