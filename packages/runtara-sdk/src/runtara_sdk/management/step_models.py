"""What a management client gets back about steps, scopes, and counts of what has ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class StepStatus(StrEnum):
    """How far a step has come."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepSummary:
    """A step of a scenario, as an instance in debug mode has traced it: one for each step and scope.

    Attributes:
        step_id: of the scenario.
        step_name: for people; None without one.
        step_type: such as `Agent`.
        status: running until its end was traced.
        started_at_ms: of its latest attempt.
        completed_at_ms: of its end, completed or failed.
        duration_ms: between both, as the program measured it.
        inputs: JSON value; None where none were traced. Long ones are shown by their beginning.
        outputs: JSON value; None while it runs, and when it failed.
        error: JSON value; None unless it failed.
        scope_id: the pass of a loop, or the child, that it is in; of a step that contains others, its own scope. None
            in the root graph.
        parent_scope_id: the scope around that one; None when it is the root graph.
    """

    step_id: str
    step_name: str | None
    step_type: str
    status: StepStatus
    started_at_ms: int
    completed_at_ms: int | None
    duration_ms: int | None
    inputs: Any
    outputs: Any
    error: Any
    scope_id: str | None
    parent_scope_id: str | None


@dataclass(frozen=True, slots=True)
class StepPage:
    """A page of steps, the number of all that match, and the token of the next page; None on the last one."""

    steps: tuple[StepSummary, ...]
    total_count: int
    next_page_token: str | None = None


@dataclass(frozen=True, slots=True)
class ScopeInfo:
    """A scope, and the step that made it.

    Attributes:
        scope_id: of the scope.
        parent_scope_id: the scope around; None when it is the root graph.
        step_id: the step whose body or child it is.
        step_name: of that step, for people; None without one.
        step_type: of that step.
        index: which pass of a loop it is, from 0 on; None for a scope that is no pass.
        created_at_ms: when its first step began.
    """

    scope_id: str
    parent_scope_id: str | None
    step_id: str
    step_name: str | None
    step_type: str
    index: int | None
    created_at_ms: int


class MetricsGranularity(StrEnum):
    """How long a bucket of metrics is; buckets begin at full hours or days, UTC."""

    HOURLY = "hourly"
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class MetricsBucket:
    """What of a tenant ended in one hour or day. What is not known without an instance is None.

    Attributes:
        bucket_time_ms: where the bucket begins.
        invocation_count: instances that ended.
        success_count: of these completed.
        failure_count: of these failed.
        cancelled_count: of these were cancelled.
        avg_duration_ms: from the first start to the end.
        min_duration_ms: the shortest.
        max_duration_ms: the longest.
        avg_memory_bytes: of the peaks that were measured.
        max_memory_bytes: the highest.
        success_rate_percent: completed, of those that ended.
    """

    bucket_time_ms: int
    invocation_count: int
    success_count: int
    failure_count: int
    cancelled_count: int
    avg_duration_ms: float | None
    min_duration_ms: float | None
    max_duration_ms: float | None
    avg_memory_bytes: int | None
    max_memory_bytes: int | None
    success_rate_percent: float | None


@dataclass(frozen=True, slots=True)
class TenantMetrics:
    """The range that was counted, from `start_time_ms` on and before `end_time_ms`, and every bucket of it."""

    tenant_id: str
    start_time_ms: int
    end_time_ms: int
    granularity: MetricsGranularity
    buckets: tuple[MetricsBucket, ...]
