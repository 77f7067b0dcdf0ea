"""Who may make which call on the instance port.

A token binds its bearer to one launch of one instance: given with the launch, or at registration to a program that
registers itself. With a token, a call may name its own instance, epoch and tenant only, and may ask for the status of
instances of its tenant. Without one:

* a program may register itself; where there are API keys it needs one of its tenant;
* where there are no keys, a client of the original protocol, which knows neither epochs nor tokens, may use instances
  that no environment manages. The storage refuses a call without an epoch for any other; reads that the storage does
  not check are checked here.

Nothing of this costs a query, but for the reads of an original client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runtara_sdk.errors import PermissionDeniedError, StaleEpochError, UnauthenticatedError
from runtara_sdk.models import Registration
from runtara_sdk.protocol import instance_pb2 as pb

from runtara_core.instance_service import InstanceService
from runtara_core.security import InstanceToken, KeyRing, TokenAuthority

_READS_WITHOUT_EPOCH = frozenset({"get_checkpoint", "get_instance_status"})


class InstanceGate:
    """Authorizes calls of package `runtara.instance` and hands out the tokens of registrations."""

    def __init__(self, service: InstanceService, tokens: TokenAuthority, keys: KeyRing) -> None:
        self._service = service
        self._tokens = tokens
        self._keys = keys

    async def authorize(self, request: pb.RpcRequest) -> None:
        """Raise unless the call may be made; completes epoch and tenant from the caller's token or key.

        Raises `UnauthenticatedError`, `PermissionDeniedError`, `StaleEpochError`.
        """
        verb = request.WhichOneof("request") or ""
        call: Any = getattr(request, verb)
        if request.HasField("instance_token"):
            token = await self._tokens.verify(request.instance_token)
            request.ClearField("instance_token")
            _bind(request, verb, call, token)
        elif request.HasField("epoch"):
            raise UnauthenticatedError("a launched instance must send the token of its launch (RUNTARA_INSTANCE_TOKEN)")
        elif verb == "register_instance":
            await self._admit_registration(request, call)
        else:
            await self._admit_without_token(request, verb, call)

    async def token_of_registration(self, call: pb.RegisterInstanceRequest, registration: Registration) -> str:
        """The token for the further calls of a process that has registered."""
        return await self._tokens.issue(InstanceToken(call.instance_id, call.tenant_id, registration.epoch))

    async def _admit_registration(self, request: pb.RpcRequest, call: pb.RegisterInstanceRequest) -> None:
        principal = await self._keys.authenticate(request.api_key)
        if principal is not None and principal.tenant_id not in (None, call.tenant_id):
            raise PermissionDeniedError(f"the API key is not of tenant {call.tenant_id}")

    async def _admit_without_token(self, request: pb.RpcRequest, verb: str, call: Any) -> None:
        principal = await self._keys.authenticate(request.api_key)
        if principal is not None:
            if verb != "get_instance_status":
                raise UnauthenticatedError(f"{verb} needs the token that the registration gave: register first")
            if principal.tenant_id is not None:
                _narrow_to_tenant(call, principal.tenant_id)
        elif verb in _READS_WITHOUT_EPOCH and await self._service.is_managed(call.instance_id):
            raise UnauthenticatedError(
                f"instance {call.instance_id} is launched by an environment: its calls must carry the launch's token"
            )


def _bind(request: pb.RpcRequest, verb: str, call: Any, token: InstanceToken) -> None:
    """Hold a call to what its token says."""
    if verb == "get_instance_status":
        _narrow_to_tenant(call, token.tenant_id)
    elif any(instance_id != token.instance_id for instance_id in _named_instances(verb, call)):
        raise PermissionDeniedError("the instance token is of another instance than the call")
    if verb == "register_instance" and call.tenant_id != token.tenant_id:
        raise PermissionDeniedError("the instance token is of another tenant than the call")
    if request.HasField("epoch") and request.epoch != token.epoch:
        raise StaleEpochError(f"the call is of epoch {request.epoch}, its token of epoch {token.epoch}")
    request.epoch = token.epoch


def _named_instances(verb: str, call: Any) -> Iterable[str | None]:
    if verb == "instance_event_batch":
        return [event.instance_id for event in call.events]
    return [getattr(call, "instance_id", None)]


def _narrow_to_tenant(call: pb.GetInstanceStatusRequest, tenant_id: str) -> None:
    if call.HasField("tenant_id") and call.tenant_id != tenant_id:
        raise PermissionDeniedError(f"the caller is not of tenant {call.tenant_id}")
    call.tenant_id = tenant_id
