"""What instances have done: their checkpoints and events."""

from __future__ import annotations

from runtara_sdk.errors import CheckpointNotFoundError
from runtara_sdk.management import codec
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.models import CheckpointDetail, CheckpointPage, EventPage
from runtara_sdk.protocol import environment_pb2 as pb


class HistoryVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that shows what an instance has done."""

    async def list_checkpoints(
        self, instance_id: str, *, checkpoint_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> CheckpointPage:
        """A page of checkpoints, newest first."""
        message = pb.ListCheckpointsRequest(
            instance_id=instance_id,
            checkpoint_id=checkpoint_id,
            limit=limit,
            offset=offset,
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(list_checkpoints=message), "list_checkpoints")
        answer = response.list_checkpoints
        return CheckpointPage(
            tuple(codec.decode_checkpoint_summary(checkpoint) for checkpoint in answer.checkpoints),
            answer.total_count,
        )

    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointDetail:
        """One checkpoint with its state; raises `CheckpointNotFoundError`."""
        message = pb.GetCheckpointRequest(
            instance_id=instance_id, checkpoint_id=checkpoint_id, tenant_id=self.settings.tenant_id
        )
        response = await self._call(pb.RpcRequest(get_checkpoint=message), "get_checkpoint")
        answer = response.get_checkpoint
        if not answer.found:
            raise CheckpointNotFoundError(f"instance {instance_id} has no checkpoint {checkpoint_id!r}")
        data = codec.decode_value(answer.data)
        return CheckpointDetail(answer.checkpoint_id, answer.instance_id, answer.created_at_ms, data)

    async def list_events(
        self,
        instance_id: str,
        *,
        event_type: str | None = None,
        subtype: str | None = None,
        payload_contains: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> EventPage:
        """A page of events, newest first."""
        message = pb.ListEventsRequest(
            instance_id=instance_id,
            event_type=event_type,
            subtype=subtype,
            limit=limit,
            offset=offset,
            created_after_ms=created_after_ms,
            created_before_ms=created_before_ms,
            payload_contains=payload_contains,
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(list_events=message), "list_events")
        answer = response.list_events
        return EventPage(tuple(codec.decode_event(event) for event in answer.events), answer.total_count)
