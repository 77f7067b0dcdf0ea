"""The calls of package `runtara.environment` that list: instances, checkpoints, events, steps; and what counts them.

A list is paged by offset, as the original protocol does, or by the token of the page before. Behind a token the number
of all rows is not counted again: it is as it was on the first page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import NoneType

from runtara_core.models import CheckpointFilter, EventFilter, InstanceFilter, InstanceKey
from runtara_core.steps import MAX_STEP_PAGE, StepFilter
from runtara_sdk.protocol import environment_pb2 as pb

from runtara_environment.service import EnvironmentService
from runtara_environment.wire.codec import (
    GRANULARITY,
    decode_granularity,
    decode_status,
    decode_step_status,
    decode_termination_reason,
    encode_bucket,
    encode_checkpoint_summary,
    encode_event,
    encode_instance_summary,
    encode_scope,
    encode_step,
    is_ascending,
    optional,
    page_limit,
    tenant_of,
)
from runtara_environment.wire.page_tokens import page_token, read_page_token


class ListHandler:
    """Decodes a call, asks the service, encodes the answer."""

    def __init__(self, service: EnvironmentService) -> None:
        self._service = service

    @property
    def verbs(self) -> Mapping[str, Callable[[pb.RpcRequest], Awaitable[pb.RpcResponse]]]:
        """The calls that are served here."""
        return {
            "list_instances": self.list_instances,
            "list_checkpoints": self.list_checkpoints,
            "get_checkpoint": self.get_checkpoint,
            "list_events": self.list_events,
            "list_step_summaries": self.list_step_summaries,
            "get_scope_ancestors": self.get_scope_ancestors,
            "get_tenant_metrics": self.get_tenant_metrics,
        }

    async def list_instances(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of instances."""
        call = request.list_instances
        token = read_page_token(call, ((int, NoneType), str))
        image_ids: tuple[str, ...] | None = (call.image_id,) if call.HasField("image_id") else None
        if call.HasField("image_name_prefix"):
            named = await self._service.registry.find_by_name_prefix(call.image_name_prefix, tenant_id=tenant_of(call))
            image_ids = tuple(named) if image_ids is None else tuple(set(named) & set(image_ids))
        statuses = [*([call.status] if call.HasField("status") else []), *call.statuses]
        order_by = call.order_by or "created_at_desc"
        limit = page_limit(call.limit)
        page = await self._service.list_instances(
            InstanceFilter(
                tenant_id=tenant_of(call),
                statuses=tuple(dict.fromkeys(map(decode_status, statuses))),
                termination_reasons=tuple(map(decode_termination_reason, call.termination_reasons)),
                image_ids=image_ids,
                created_after_ms=optional(call, "created_after_ms"),
                created_before_ms=optional(call, "created_before_ms"),
                finished_after_ms=optional(call, "finished_after_ms"),
                finished_before_ms=optional(call, "finished_before_ms"),
                order_by=order_by,
                limit=limit,
                offset=call.offset,
                # The token is one of this list, so its key is a time and an id.
                after=None if token is None else InstanceKey(token.key[0], token.key[1]),  # type: ignore[arg-type]
                without_total=token is not None,
            )
        )
        names = await self._service.registry.find_names(
            sorted({instance.image_id for instance in page.instances if instance.image_id})
        )
        total = page.total_count if token is None else token.total_count
        answer = pb.ListInstancesResponse(
            instances=[
                encode_instance_summary(instance, names.get(instance.image_id or "", "")) for instance in page.instances
            ],
            total_count=total,
        )
        if len(page.instances) == limit:
            last = InstanceKey.of(page.instances[-1], order_by)
            answer.next_page_token = page_token(call, (last.time_ms, last.instance_id), total)
        return pb.RpcResponse(list_instances=answer)

    async def list_checkpoints(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of checkpoints, newest first."""
        call = request.list_checkpoints
        token = read_page_token(call, (str,))
        limit = page_limit(call.limit)
        where = CheckpointFilter(
            checkpoint_id=optional(call, "checkpoint_id"),
            created_after_ms=optional(call, "created_after_ms"),
            created_before_ms=optional(call, "created_before_ms"),
            before_checkpoint_id=None if token is None else str(token.key[0]),
            limit=limit,
            offset=call.offset,
            without_total=token is not None,
        )
        page = await self._service.list_checkpoints(call.instance_id, where, tenant_id=tenant_of(call))
        total = page.total_count if token is None else token.total_count
        answer = pb.ListCheckpointsResponse(
            checkpoints=[encode_checkpoint_summary(item) for item in page.checkpoints],
            total_count=total,
            limit=limit,
            offset=call.offset,
        )
        if len(page.checkpoints) == limit:
            answer.next_page_token = page_token(call, (page.checkpoints[-1].checkpoint_id,), total)
        return pb.RpcResponse(list_checkpoints=answer)

    async def get_checkpoint(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """One checkpoint with its state."""
        call = request.get_checkpoint
        record = await self._service.get_checkpoint(call.instance_id, call.checkpoint_id, tenant_id=tenant_of(call))
        if record is None:
            return pb.RpcResponse(get_checkpoint=pb.GetCheckpointResponse(found=False))
        return pb.RpcResponse(
            get_checkpoint=pb.GetCheckpointResponse(
                found=True,
                checkpoint_id=record.checkpoint_id,
                instance_id=record.instance_id,
                created_at_ms=record.created_at_ms,
                data=record.state,
            )
        )

    async def list_events(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of events, newest first unless asked otherwise."""
        call = request.list_events
        token = read_page_token(call, (int,))
        ascending = is_ascending(call, otherwise=False)
        limit = page_limit(call.limit)
        key = None if token is None else int(token.key[0] or 0)
        where = EventFilter(
            event_type=optional(call, "event_type"),
            subtype=optional(call, "subtype"),
            created_after_ms=optional(call, "created_after_ms"),
            created_before_ms=optional(call, "created_before_ms"),
            payload_contains=optional(call, "payload_contains"),
            scope_id=optional(call, "scope_id"),
            parent_scope_id=optional(call, "parent_scope_id"),
            root_scopes_only=call.root_scopes_only,
            ascending=ascending,
            after_event_id=key if ascending else None,
            before_event_id=None if ascending else key,
            limit=limit,
            offset=call.offset,
            without_total=token is not None,
        )
        page = await self._service.list_events(call.instance_id, where, tenant_id=tenant_of(call))
        total = page.total_count if token is None else token.total_count
        answer = pb.ListEventsResponse(
            events=[encode_event(event) for event in page.events], total_count=total, limit=limit, offset=call.offset
        )
        if len(page.events) == limit:
            answer.next_page_token = page_token(call, (page.events[-1].event_id,), total)
        return pb.RpcResponse(list_events=answer)

    async def list_step_summaries(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of the steps of an instance in debug mode, the latest first unless asked otherwise."""
        call = request.list_step_summaries
        token = read_page_token(call, (int,))
        limit = min(page_limit(call.limit), MAX_STEP_PAGE)
        where = StepFilter(
            status=decode_step_status(call.status) if call.HasField("status") else None,
            step_type=optional(call, "step_type"),
            scope_id=optional(call, "scope_id"),
            parent_scope_id=optional(call, "parent_scope_id"),
            root_scopes_only=call.root_scopes_only,
            descending=not is_ascending(call, otherwise=False),
            after_position=None if token is None else int(token.key[0] or 0),
            limit=limit,
            offset=call.offset,
            without_total=token is not None,
        )
        page = await self._service.list_step_summaries(call.instance_id, where, tenant_id=tenant_of(call))
        total = page.total_count if token is None else token.total_count
        answer = pb.ListStepSummariesResponse(
            steps=[encode_step(step) for step in page.steps], total_count=total, limit=limit, offset=call.offset
        )
        if len(page.steps) == limit:
            answer.next_page_token = page_token(call, (page.steps[-1].position,), total)
        return pb.RpcResponse(list_step_summaries=answer)

    async def get_scope_ancestors(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A scope and those around it, the innermost first."""
        call = request.get_scope_ancestors
        found = await self._service.get_scope_ancestors(call.instance_id, call.scope_id, tenant_id=tenant_of(call))
        return pb.RpcResponse(
            get_scope_ancestors=pb.GetScopeAncestorsResponse(ancestors=[encode_scope(scope) for scope in found])
        )

    async def get_tenant_metrics(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """What of a tenant has ended in each hour or day."""
        call = request.get_tenant_metrics
        metrics = await self._service.get_tenant_metrics(
            call.tenant_id,
            start_ms=optional(call, "start_time_ms"),
            end_ms=optional(call, "end_time_ms"),
            granularity=decode_granularity(call.granularity),
        )
        return pb.RpcResponse(
            get_tenant_metrics=pb.GetTenantMetricsResponse(
                tenant_id=metrics.where.tenant_id,
                start_time_ms=metrics.where.start_ms,
                end_time_ms=metrics.where.end_ms,
                granularity=GRANULARITY[metrics.where.granularity],
                buckets=[encode_bucket(bucket) for bucket in metrics.buckets],
            )
        )
