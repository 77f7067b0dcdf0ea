"""What instances have done: their checkpoints and events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from runtara_sdk.errors import CheckpointNotFoundError
from runtara_sdk.management import codec
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.models import CheckpointDetail, CheckpointPage, CheckpointSummary, EventInfo, EventPage
from runtara_sdk.management.paging import check_page, iterate
from runtara_sdk.protocol import environment_pb2 as pb

SortOrder = Literal["asc", "desc"]


class HistoryVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that shows what an instance has done."""

    async def list_checkpoints(
        self,
        instance_id: str,
        *,
        checkpoint_id: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        limit: int = 100,
        offset: int = 0,
        page_token: str | None = None,
    ) -> CheckpointPage:
        """A page of checkpoints, newest first.

        Args:
            instance_id: the instance.
            checkpoint_id: only this one.
            created_after_ms: only stored since then, inclusive.
            created_before_ms: only stored before then.
            limit: most checkpoints of the page; the environment gives up to 1000.
            offset: leave out so many.
            page_token: `next_page_token` of the page before, with the same filter.
        """
        check_page(limit, offset)
        message = pb.ListCheckpointsRequest(
            instance_id=instance_id,
            checkpoint_id=checkpoint_id,
            created_after_ms=created_after_ms,
            created_before_ms=created_before_ms,
            limit=limit,
            offset=offset,
            page_token=page_token or "",
            tenant_id=self.settings.tenant_id,
        )
        answer = (await self._call(pb.RpcRequest(list_checkpoints=message), "list_checkpoints")).list_checkpoints
        checkpoints = tuple(codec.decode_checkpoint_summary(checkpoint) for checkpoint in answer.checkpoints)
        return CheckpointPage(checkpoints, answer.total_count, answer.next_page_token or None)

    def iterate_checkpoints(
        self,
        instance_id: str,
        *,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[CheckpointSummary]:
        """Every checkpoint, newest first, fetched a page at a time; those stored meanwhile do not come."""

        async def ask(token: str | None) -> CheckpointPage:
            return await self.list_checkpoints(
                instance_id,
                created_after_ms=created_after_ms,
                created_before_ms=created_before_ms,
                limit=page_size,
                page_token=token,
            )

        return iterate(ask, lambda page: page.checkpoints)

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
        scope_id: str | None = None,
        parent_scope_id: str | None = None,
        root_scopes_only: bool = False,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        sort_order: SortOrder = "desc",
        limit: int = 100,
        offset: int = 0,
        page_token: str | None = None,
    ) -> EventPage:
        """A page of events, newest first unless `sort_order` is `asc`.

        Args:
            instance_id: the instance.
            event_type: started, completed, failed, suspended or custom.
            subtype: of a custom event, such as `workflow_log`.
            payload_contains: only with this text in the first 64 KiB of the payload, whatever the case of its letters.
            scope_id: only from this scope, which the trace of debug mode names.
            parent_scope_id: only from scopes directly within this one.
            root_scopes_only: only from the root graph, and what names no scope.
            created_after_ms: only since then, inclusive.
            created_before_ms: only before then.
            sort_order: `desc` for the newest first, or `asc`.
            limit: most events of the page; the environment gives up to 1000.
            offset: leave out so many.
            page_token: `next_page_token` of the page before, with the same filter and order.
        """
        check_page(limit, offset)
        message = pb.ListEventsRequest(
            instance_id=instance_id,
            event_type=event_type,
            subtype=subtype,
            limit=limit,
            offset=offset,
            created_after_ms=created_after_ms,
            created_before_ms=created_before_ms,
            payload_contains=payload_contains,
            scope_id=scope_id,
            parent_scope_id=parent_scope_id,
            root_scopes_only=root_scopes_only,
            sort_order=sort_order,
            page_token=page_token or "",
            tenant_id=self.settings.tenant_id,
        )
        answer = (await self._call(pb.RpcRequest(list_events=message), "list_events")).list_events
        events = tuple(codec.decode_event(event) for event in answer.events)
        return EventPage(events, answer.total_count, answer.next_page_token or None)

    def iterate_events(
        self,
        instance_id: str,
        *,
        event_type: str | None = None,
        subtype: str | None = None,
        payload_contains: str | None = None,
        scope_id: str | None = None,
        parent_scope_id: str | None = None,
        root_scopes_only: bool = False,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        sort_order: SortOrder = "asc",
        page_size: int = 100,
    ) -> AsyncIterator[EventInfo]:
        """Every event that a filter of `list_events` finds, oldest first, fetched a page at a time."""

        async def ask(token: str | None) -> EventPage:
            return await self.list_events(
                instance_id,
                event_type=event_type,
                subtype=subtype,
                payload_contains=payload_contains,
                scope_id=scope_id,
                parent_scope_id=parent_scope_id,
                root_scopes_only=root_scopes_only,
                created_after_ms=created_after_ms,
                created_before_ms=created_before_ms,
                sort_order=sort_order,
                limit=page_size,
                page_token=token,
            )

        return iterate(ask, lambda page: page.events)
