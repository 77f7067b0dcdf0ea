"""The calls of package `runtara.environment` that are about agents."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from runtara_sdk.protocol import environment_pb2 as pb

from runtara_environment.agents import AgentServices


class AgentHandler:
    """Decodes a call, asks the services of agents, encodes the answer."""

    def __init__(self, agents: AgentServices) -> None:
        self._agents = agents

    @property
    def verbs(self) -> Mapping[str, Callable[[pb.RpcRequest], Awaitable[pb.RpcResponse]]]:
        """The calls that are served here."""
        return {
            "list_agents": self.list_agents,
            "get_capability": self.get_capability,
            "test_capability": self.test_capability,
        }

    async def list_agents(self, _request: pb.RpcRequest) -> pb.RpcResponse:
        """AgentInfo of every agent that workflows may use here; the same for all tenants."""
        agents = await self._agents.listing.list_agents()
        return pb.RpcResponse(list_agents=pb.ListAgentsResponse(agents_json=agents.json))

    async def get_capability(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """CapabilityInfo with JSON Schemas, and its inputs by themselves; unknown is told by `found`."""
        call = request.get_capability
        capability = await self._agents.listing.get_capability(call.agent_id, call.capability_id)
        if capability is None:
            return pb.RpcResponse(get_capability=pb.GetCapabilityResponse(found=False))
        return pb.RpcResponse(
            get_capability=pb.GetCapabilityResponse(
                found=True,
                capability_json=json.dumps(capability.document).encode(),
                inputs_json=json.dumps(capability.document["inputs"]).encode(),
            )
        )

    async def test_capability(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """One call of a capability; every failure is an answer, its error JSON text."""
        call = request.test_capability
        outcome = await self._agents.tests.test_capability(
            call.tenant_id,
            call.agent_id,
            call.capability_id,
            input_json=call.input,
            connection_json=call.connection if call.HasField("connection") else None,
            timeout_ms=call.timeout_ms if call.HasField("timeout_ms") else None,
            runner=call.runner if call.HasField("runner") else None,
        )
        answer = pb.TestCapabilityResponse(
            success=outcome.error is None,
            output=outcome.output_json or b"",
            execution_time_ms=outcome.execution_time_ms,
        )
        if outcome.error is not None:
            answer.error = json.dumps(outcome.error)
            answer.error_code = str(outcome.error.get("code", ""))
        return pb.RpcResponse(test_capability=answer)
