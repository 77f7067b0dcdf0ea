"""Steps of instances in debug mode, their scopes, and counts of what has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.management import codec
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.history import SortOrder
from runtara_sdk.management.paging import check_page, iterate
from runtara_sdk.management.step_models import (
    MetricsGranularity,
    ScopeInfo,
    StepPage,
    StepStatus,
    StepSummary,
    TenantMetrics,
)
from runtara_sdk.protocol import environment_pb2 as pb


class StepVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that shows how far the steps of an instance have come, and counts instances."""

    async def list_step_summaries(
        self,
        instance_id: str,
        *,
        status: StepStatus | None = None,
        step_type: str | None = None,
        scope_id: str | None = None,
        parent_scope_id: str | None = None,
        root_scopes_only: bool = False,
        sort_order: SortOrder = "asc",
        limit: int = 100,
        offset: int = 0,
        page_token: str | None = None,
    ) -> StepPage:
        """A page of the steps of an instance, in the order of their first start; none of one without debug mode.

        A step that ran again after a crash is there once, as it ran last.

        Args:
            instance_id: the instance.
            status: only in this one.
            step_type: only of this one, such as `Agent`.
            scope_id: only with this scope.
            parent_scope_id: only with this scope around.
            root_scopes_only: only those of the root graph.
            sort_order: `asc`, or `desc` for the latest first.
            limit: most steps of the page; the environment gives up to 250.
            offset: leave out so many.
            page_token: `next_page_token` of the page before, with the same filter and order.
        """
        check_page(limit, offset)
        message = pb.ListStepSummariesRequest(
            instance_id=instance_id,
            status=None if status is None else str(status),
            step_type=step_type,
            scope_id=scope_id,
            parent_scope_id=parent_scope_id,
            root_scopes_only=root_scopes_only,
            sort_order=sort_order,
            limit=limit,
            offset=offset,
            page_token=page_token or "",
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(list_step_summaries=message), "list_step_summaries")
        answer = response.list_step_summaries
        steps = tuple(codec.decode_step(step) for step in answer.steps)
        return StepPage(steps, answer.total_count, answer.next_page_token or None)

    def iterate_step_summaries(
        self,
        instance_id: str,
        *,
        status: StepStatus | None = None,
        step_type: str | None = None,
        scope_id: str | None = None,
        parent_scope_id: str | None = None,
        root_scopes_only: bool = False,
        sort_order: SortOrder = "asc",
        page_size: int = 100,
    ) -> AsyncIterator[StepSummary]:
        """Every step that a filter of `list_step_summaries` finds, fetched a page at a time."""

        async def ask(token: str | None) -> StepPage:
            return await self.list_step_summaries(
                instance_id,
                status=status,
                step_type=step_type,
                scope_id=scope_id,
                parent_scope_id=parent_scope_id,
                root_scopes_only=root_scopes_only,
                sort_order=sort_order,
                limit=page_size,
                page_token=token,
            )

        return iterate(ask, lambda page: page.steps)

    async def get_scope_ancestors(self, instance_id: str, scope_id: str) -> tuple[ScopeInfo, ...]:
        """A scope and those around it, the innermost first; at most 100, empty when no step of it was traced."""
        message = pb.GetScopeAncestorsRequest(
            instance_id=instance_id, scope_id=scope_id, tenant_id=self.settings.tenant_id
        )
        response = await self._call(pb.RpcRequest(get_scope_ancestors=message), "get_scope_ancestors")
        return tuple(codec.decode_scope(scope) for scope in response.get_scope_ancestors.ancestors)

    async def get_tenant_metrics(
        self,
        tenant_id: str | None = None,
        *,
        start_time_ms: int | None = None,
        end_time_ms: int | None = None,
        granularity: MetricsGranularity = MetricsGranularity.HOURLY,
    ) -> TenantMetrics:
        """How many instances of a tenant have ended in each hour or day, and how long they took.

        Args:
            tenant_id: of the tenant; None is the one of the settings or of the API key.
            start_time_ms: from then on; None is 24 hours before the end.
            end_time_ms: before then; None is now.
            granularity: length of a bucket. A range of more than 2000 of them is refused.
        """
        chosen = tenant_id or self.settings.tenant_id
        if chosen is None and self.settings.api_key is None:
            raise InvalidInputError("tenant_id: metrics are those of one tenant, name it")
        message = pb.GetTenantMetricsRequest(
            tenant_id=chosen,
            start_time_ms=start_time_ms,
            end_time_ms=end_time_ms,
            granularity=codec.GRANULARITY_NUMBERS[granularity],
        )
        response = await self._call(pb.RpcRequest(get_tenant_metrics=message), "get_tenant_metrics")
        return codec.decode_metrics(response.get_tenant_metrics)
