"""Reading instances."""

from __future__ import annotations

from dataclasses import replace

import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import EventType, InstanceStatus, TerminationReason

from runtara_core.models import InstanceFilter, InstanceKey, LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import START_MS, TENANT, claim, create, register, report


async def _ids(storage: Storage, where: InstanceFilter) -> list[str]:
    page = await storage.list_instances(where)
    assert page.total_count >= len(page.instances)
    return [instance.instance_id for instance in page.instances]


class ListingCases:
    """`get_instance`, `list_instances`, `count_running`."""

    async def test_an_instance_is_shown_to_its_tenant_only(self, storage: Storage) -> None:
        await register(storage)
        assert await storage.get_instance("own-1", tenant_id=TENANT) is not None
        assert await storage.get_instance("own-1", tenant_id="tenant-2") is None
        assert await storage.get_instance("nobody") is None

    async def test_running_instances_are_counted(self, storage: Storage) -> None:
        assert await storage.count_running() == 0
        await register(storage, "own-1")
        await register(storage, "own-2")
        await create(storage)
        assert await storage.count_running() == 2
        await report(storage, LeaseKey("own-1", 1), EventType.SUSPENDED)
        assert await storage.count_running() == 1

    async def test_lists_leave_out_what_is_large(self, storage: Storage) -> None:
        await create(storage, input_envelope=b"big")
        (claimed,) = await claim(storage)
        await report(storage, LeaseKey("managed-1", claimed.epoch), EventType.COMPLETED, b"big")
        (instance,) = (await storage.list_instances(InstanceFilter())).instances
        assert (instance.input, instance.output, instance.stderr) == (None, None, None)
        assert instance.status is InstanceStatus.COMPLETED

    async def test_instances_are_listed_by_filter(self, storage: Storage) -> None:
        for number in range(4):
            await create(
                storage,
                f"managed-{number}",
                tenant_id=f"tenant-{number % 2}",
                image_id=f"image-{number}",
                now_ms=START_MS + number,
            )
        await claim(storage, instance_id="managed-3", now_ms=START_MS + 9)
        await report(storage, LeaseKey("managed-3", 1), EventType.COMPLETED, now_ms=START_MS + 20)
        await claim(storage, instance_id="managed-0", now_ms=START_MS + 9)
        await report(storage, LeaseKey("managed-0", 1), EventType.FAILED, now_ms=START_MS + 10)
        assert await _ids(storage, InstanceFilter()) == ["managed-3", "managed-2", "managed-1", "managed-0"]
        assert await _ids(storage, InstanceFilter(tenant_id="tenant-1")) == ["managed-3", "managed-1"]
        assert await _ids(storage, InstanceFilter(tenant_id="tenant-9")) == []
        ended = (InstanceStatus.COMPLETED, InstanceStatus.FAILED)
        assert await _ids(storage, InstanceFilter(statuses=ended)) == ["managed-3", "managed-0"]
        assert await _ids(storage, InstanceFilter(statuses=(InstanceStatus.RUNNING,))) == []
        images = InstanceFilter(image_ids=("image-1", "image-2", "x"), tenant_id="tenant-1")
        assert await _ids(storage, images) == ["managed-1"]
        assert await _ids(storage, InstanceFilter(image_ids=())) == []
        created = InstanceFilter(created_after_ms=START_MS + 1, created_before_ms=START_MS + 3)
        assert await _ids(storage, created) == ["managed-2", "managed-1"]
        finished = InstanceFilter(finished_after_ms=START_MS + 10, finished_before_ms=START_MS + 20)
        assert await _ids(storage, finished) == ["managed-0"]
        page = await storage.list_instances(InstanceFilter(statuses=ended, limit=1))
        assert page.total_count == 2
        page = await storage.list_instances(InstanceFilter(statuses=ended, limit=1, without_total=True))
        assert (len(page.instances), page.total_count) == (1, 0)
        reasons = (TerminationReason.APPLICATION_ERROR, TerminationReason.CRASHED)
        assert await _ids(storage, InstanceFilter(termination_reasons=reasons)) == ["managed-0"]
        assert (
            await _ids(storage, InstanceFilter(termination_reasons=reasons, statuses=(InstanceStatus.COMPLETED,))) == []
        )

    @pytest.mark.parametrize("tenant_id", [None, TENANT])
    @pytest.mark.parametrize("order_by", ["created_at_desc", "created_at_asc", "finished_at_desc", "finished_at_asc"])
    async def test_a_page_begins_behind_an_instance(
        self, storage: Storage, order_by: str, tenant_id: str | None
    ) -> None:
        for number in range(6):
            await register(storage, f"own-{number}", now_ms=START_MS + number // 2)  # two at a time
        for number, finished in ((0, 9), (3, 9), (1, 8)):
            await report(storage, LeaseKey(f"own-{number}", 1), EventType.COMPLETED, now_ms=START_MS + finished)
        where = InstanceFilter(tenant_id=tenant_id, order_by=order_by)
        whole = await _ids(storage, where)
        paged: list[str] = []
        after: InstanceKey | None = None
        while True:
            page = await storage.list_instances(replace(where, limit=2, after=after))
            assert page.total_count == 6
            paged += [instance.instance_id for instance in page.instances]
            if len(page.instances) < 2:
                break
            after = InstanceKey.of(page.instances[-1], order_by)
        assert paged == whole
        gone = InstanceKey(START_MS + 1, "own-2x")
        rest = await _ids(storage, InstanceFilter(tenant_id=TENANT, order_by="created_at_asc", after=gone))
        assert rest == ["own-3", "own-4", "own-5"]

    @pytest.mark.parametrize("tenant_id", [None, TENANT])
    async def test_instances_are_listed_in_order_and_by_page(self, storage: Storage, tenant_id: str | None) -> None:
        for number in range(5):
            await register(storage, f"own-{number}", now_ms=START_MS + number)
        for number, finished in ((3, 10), (1, 20)):
            key = LeaseKey(f"own-{number}", 1)
            await report(storage, key, EventType.COMPLETED, now_ms=START_MS + finished)

        async def numbers(order_by: str, limit: int = 100, offset: int = 0) -> str:
            where = InstanceFilter(tenant_id=tenant_id, order_by=order_by, limit=limit, offset=offset)
            return "".join(each.removeprefix("own-") for each in await _ids(storage, where))

        assert await numbers("created_at_desc") == "43210"
        assert await numbers("created_at_asc") == "01234"
        assert (await numbers("finished_at_desc"))[:2] == "13"
        assert (await numbers("finished_at_asc"))[:2] == "31"
        assert await numbers("created_at_asc", limit=2, offset=1) == "12"
        assert await numbers("created_at_asc", limit=0) == ""
        for wrong in (("status", 1, 0), ("created_at_asc", -1, 0), ("created_at_asc", 1, -1)):
            with pytest.raises(InvalidInputError):
                await numbers(*wrong)
