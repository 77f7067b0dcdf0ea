"""How many instances of a tenant have ended in each hour or day, and how long they took."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import InstanceStatus

from runtara_core.models import Instance, InstanceFilter, InstanceKey, InstancePage

MAX_BUCKETS = 2_000
"""Most buckets of one answer: 83 days of hours, five years of days."""

_PAGE = 1_000
_ENDS = tuple(status for status in InstanceStatus if status.is_terminal)


class MetricsGranularity(StrEnum):
    """How long a bucket is."""

    HOURLY = "hourly"
    DAILY = "daily"

    @property
    def width_ms(self) -> int:
        """Length of a bucket; buckets begin at full hours or days, UTC."""
        return 3_600_000 if self is MetricsGranularity.HOURLY else 86_400_000


@dataclass(frozen=True, slots=True)
class EndedCounts:
    """Sums over instances that ended in one bucket; minima and maxima are None without a value."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    timed: int = 0
    duration_sum_ms: int = 0
    duration_min_ms: int | None = None
    duration_max_ms: int | None = None
    measured: int = 0
    memory_sum_bytes: int = 0
    memory_max_bytes: int | None = None

    def plus(self, instance: Instance) -> EndedCounts:
        """The sums with one instance more."""
        duration = None
        if instance.started_at_ms is not None and instance.finished_at_ms is not None:
            duration = max(0, instance.finished_at_ms - instance.started_at_ms)
        memory = instance.memory_peak_bytes
        return EndedCounts(
            self.completed + (instance.status is InstanceStatus.COMPLETED),
            self.failed + (instance.status is InstanceStatus.FAILED),
            self.cancelled + (instance.status is InstanceStatus.CANCELLED),
            self.timed + (duration is not None),
            self.duration_sum_ms + (duration or 0),
            min((each for each in (self.duration_min_ms, duration) if each is not None), default=None),
            max((each for each in (self.duration_max_ms, duration) if each is not None), default=None),
            self.measured + (memory is not None),
            self.memory_sum_bytes + (memory or 0),
            max((each for each in (self.memory_max_bytes, memory) if each is not None), default=None),
        )


@dataclass(frozen=True, slots=True)
class MetricsBucket:
    """What ended in one hour or day.

    Attributes:
        bucket_time_ms: where the bucket begins.
        invocation_count: instances that ended.
        success_count: of these completed; `failure_count` failed, `cancelled_count` were cancelled.
        avg_duration_ms: from the first start to the end; None when nothing that ended had started.
        avg_memory_bytes: of the peaks that were measured; None without any.
        success_rate_percent: of those that ended; None when none has.
    """

    bucket_time_ms: int
    invocation_count: int = 0
    success_count: int = 0
    failure_count: int = 0
    cancelled_count: int = 0
    avg_duration_ms: float | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    avg_memory_bytes: int | None = None
    max_memory_bytes: int | None = None
    success_rate_percent: float | None = None


@dataclass(frozen=True, slots=True)
class MetricsRange:
    """Whose instances are counted, and when they ended: from `start_ms` on, before `end_ms`."""

    tenant_id: str
    start_ms: int
    end_ms: int
    granularity: MetricsGranularity = MetricsGranularity.HOURLY

    def __post_init__(self) -> None:
        """Refuse a range that is empty, or has too many buckets."""
        if not self.tenant_id:
            raise InvalidInputError("tenant_id is empty: metrics are those of one tenant")
        if not 0 <= self.start_ms < self.end_ms < 2**53:
            raise InvalidInputError(
                f"metrics from {self.start_ms} to {self.end_ms} ms cover no time: give a start before the end"
            )
        if len(self.buckets()) > MAX_BUCKETS:
            raise InvalidInputError(
                f"metrics of {len(self.buckets())} buckets are more than {MAX_BUCKETS}: ask for a shorter time"
                + ("" if self.granularity is MetricsGranularity.DAILY else ", or for days")
            )

    def buckets(self) -> range:
        """The numbers of the buckets: each begins at its number times the width."""
        width_ms = self.granularity.width_ms
        return range(self.start_ms // width_ms, (self.end_ms - 1) // width_ms + 1)


def buckets_of(where: MetricsRange, ended: Mapping[int, EndedCounts]) -> tuple[MetricsBucket, ...]:
    """Every bucket of a range in its order, also those in which nothing ended."""
    return tuple(_bucket(n * where.granularity.width_ms, ended.get(n, EndedCounts())) for n in where.buckets())


def _bucket(time_ms: int, ended: EndedCounts) -> MetricsBucket:
    total = ended.completed + ended.failed + ended.cancelled
    return MetricsBucket(
        bucket_time_ms=time_ms,
        invocation_count=total,
        success_count=ended.completed,
        failure_count=ended.failed,
        cancelled_count=ended.cancelled,
        avg_duration_ms=ended.duration_sum_ms / ended.timed if ended.timed else None,
        min_duration_ms=None if ended.duration_min_ms is None else float(ended.duration_min_ms),
        max_duration_ms=None if ended.duration_max_ms is None else float(ended.duration_max_ms),
        avg_memory_bytes=ended.memory_sum_bytes // ended.measured if ended.measured else None,
        max_memory_bytes=ended.memory_max_bytes,
        success_rate_percent=100 * ended.completed / total if total else None,
    )


async def metrics_from_lists(
    list_instances: Callable[[InstanceFilter], Awaitable[InstancePage]], where: MetricsRange
) -> tuple[MetricsBucket, ...]:
    """The metrics of a storage that cannot count by itself: it lists what ended, a page at a time."""
    ended: dict[int, EndedCounts] = {}
    after: InstanceKey | None = None
    while True:
        page = await list_instances(
            InstanceFilter(
                tenant_id=where.tenant_id,
                statuses=_ENDS,
                finished_after_ms=where.start_ms,
                finished_before_ms=where.end_ms,
                order_by="finished_at_asc",
                limit=_PAGE,
                after=after,
                without_total=True,
            )
        )
        for instance in page.instances:
            number = (instance.finished_at_ms or 0) // where.granularity.width_ms
            ended[number] = ended.get(number, EndedCounts()).plus(instance)
        if len(page.instances) < _PAGE:
            return buckets_of(where, ended)
        after = InstanceKey.of(page.instances[-1], "finished_at_asc")
