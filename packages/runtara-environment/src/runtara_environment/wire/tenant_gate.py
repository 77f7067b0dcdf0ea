"""Who may make which call on the environment's port, and of whose data it may speak.

A key of a tenant narrows every request to that tenant before it is served: a request that names no tenant gets the
key's, one that names another is refused. A call that has no tenant in it needs an operator key, unless it is known to
touch nothing that a tenant owns; so a new call without a filter is closed to tenants.
"""

from __future__ import annotations

from typing import Any

from runtara_core.security import KeyRing
from runtara_sdk.errors import PermissionDeniedError
from runtara_sdk.protocol import environment_pb2 as pb

OPEN_VERBS = frozenset({"health_check"})
"""Served without a key."""

TENANTLESS_VERBS = frozenset({"get_capability"})
"""Open to every key: what they answer belongs to no tenant."""

OPERATOR_VERBS = frozenset({"list_hosts", "drain_host", "read_artifact", "hold_artifact"})
"""Closed to tenants: they are about hosts, and about artifacts of everybody."""


class TenantGate:
    """Authorizes calls of package `runtara.environment`."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def authorize(self, request: pb.RpcRequest) -> None:
        """Raise unless the call may be made; narrows it to the tenant of its key.

        Raises `UnauthenticatedError`, `PermissionDeniedError`.
        """
        verb = request.WhichOneof("request") or ""
        if verb in OPEN_VERBS:
            return
        principal = await self._keys.authenticate(request.api_key)
        request.ClearField("api_key")
        if principal is None or principal.tenant_id is None or verb in TENANTLESS_VERBS:
            return
        call: Any = getattr(request, verb)
        if verb in OPERATOR_VERBS or "tenant_id" not in call.DESCRIPTOR.fields_by_name:
            raise PermissionDeniedError(f"{verb} needs an operator key")
        if call.tenant_id and call.tenant_id != principal.tenant_id:
            raise PermissionDeniedError(f"the API key is not of tenant {call.tenant_id}")
        call.tenant_id = principal.tenant_id
