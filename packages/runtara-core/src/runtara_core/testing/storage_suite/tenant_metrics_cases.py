"""What of a tenant has ended, by hour and day."""

from __future__ import annotations

import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import EventType, TerminationReason

from runtara_core.models import ExitReport, LeaseKey
from runtara_core.storage import Storage
from runtara_core.tenant_metrics import MAX_BUCKETS, MetricsBucket, MetricsGranularity, MetricsRange
from runtara_core.testing.storage_suite.scenario import LIMITS, START_MS, TENANT, launched, register, report, send

HOUR_MS = 3_600_000
FIRST_HOUR_MS = START_MS - START_MS % HOUR_MS


class TenantMetricsCases:
    """`get_tenant_metrics`."""

    async def test_every_hour_of_the_range_is_told(self, storage: Storage) -> None:
        for number, (event_type, took_ms, memory) in enumerate(
            ((EventType.COMPLETED, 1_000, 10), (EventType.COMPLETED, 90_000, 21), (EventType.FAILED, 500, None))
        ):
            instance_id = f"managed-{number}"
            key = await launched(storage, instance_id)
            await report(storage, key, event_type, now_ms=START_MS + took_ms)
            exited = ExitReport(TerminationReason.CRASHED, 0, memory_peak_bytes=memory)
            await storage.report_exit(key, exited, limits=LIMITS, now_ms=START_MS + took_ms)
        await register(storage, "other", tenant_id="tenant-2")
        await report(storage, LeaseKey("other", 1), EventType.COMPLETED, now_ms=START_MS)
        await register(storage, "running")
        await register(storage, "cancelled")
        await report(storage, LeaseKey("cancelled", 1), EventType.SUSPENDED)
        # A plain word will do for a signal.
        await send(storage, "cancelled", "cancel", now_ms=START_MS + 2 * HOUR_MS)  # type: ignore[arg-type]
        hours = await storage.get_tenant_metrics(MetricsRange(TENANT, START_MS, START_MS + 2 * HOUR_MS + 1))
        assert hours[0] == MetricsBucket(
            bucket_time_ms=FIRST_HOUR_MS,
            invocation_count=3,
            success_count=2,
            failure_count=1,
            avg_duration_ms=30_500.0,
            min_duration_ms=500.0,
            max_duration_ms=90_000.0,
            avg_memory_bytes=15,
            max_memory_bytes=21,
            success_rate_percent=pytest.approx(200 / 3),  # type: ignore[arg-type]  # compares like a number
        )
        assert hours[1] == MetricsBucket(bucket_time_ms=FIRST_HOUR_MS + HOUR_MS)
        assert (hours[2].cancelled_count, hours[2].success_rate_percent) == (1, 0.0)
        assert len(hours) == 3
        days = await storage.get_tenant_metrics(
            MetricsRange(TENANT, START_MS, START_MS + 24 * HOUR_MS, MetricsGranularity.DAILY)
        )
        assert sum(day.invocation_count for day in days) == 4
        assert [day.bucket_time_ms % (24 * HOUR_MS) for day in days] == [0] * len(days)
        # The start is in the range, the end is not.
        exactly = await storage.get_tenant_metrics(MetricsRange(TENANT, START_MS + 500, START_MS + 1_000))
        assert sum(hour.invocation_count for hour in exactly) == 1

    async def test_ranges_are_bounded(self, storage: Storage) -> None:
        for start_ms, end_ms in ((5, 5), (6, 5), (-1, 5), (0, (MAX_BUCKETS + 1) * HOUR_MS)):
            with pytest.raises(InvalidInputError):
                MetricsRange(TENANT, start_ms, end_ms)
        with pytest.raises(InvalidInputError):
            MetricsRange("", 0, 1)
        assert len(await storage.get_tenant_metrics(MetricsRange("nobody", 0, MAX_BUCKETS * HOUR_MS))) == MAX_BUCKETS
