"""Lists of instances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from enum import StrEnum
from typing import TypeVar

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import refuse_empty
from runtara_sdk.management import codec
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.models import InstancePage, InstanceSummary
from runtara_sdk.management.paging import check_page, iterate
from runtara_sdk.models import InstanceStatus, TerminationReason
from runtara_sdk.protocol import environment_pb2 as pb

Member = TypeVar("Member", bound=StrEnum)


class ListVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that lists instances."""

    async def list_instances(
        self,
        *,
        tenant_id: str | None = None,
        status: InstanceStatus | Collection[InstanceStatus] | None = None,
        termination_reason: TerminationReason | Collection[TerminationReason] | None = None,
        image_id: str | None = None,
        image_name_prefix: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        finished_after_ms: int | None = None,
        finished_before_ms: int | None = None,
        order_by: str = "created_at_desc",
        limit: int = 100,
        offset: int = 0,
        page_token: str | None = None,
    ) -> InstancePage:
        """A page of instances.

        Args:
            tenant_id: only of this tenant.
            status: only in this status, or in one of these.
            termination_reason: only suspended or ended for this reason, or for one of these.
            image_id: only of this image.
            image_name_prefix: only of images whose names begin so.
            created_after_ms: only created since then; `*_after_ms` is inclusive, `*_before_ms` exclusive.
            created_before_ms: only created before then.
            finished_after_ms: only finished since then.
            finished_before_ms: only finished before then.
            order_by: created_at_desc, created_at_asc, finished_at_desc or finished_at_asc.
            limit: most instances of the page; the environment gives up to 1000.
            offset: leave out so many. Pages by offset repeat and leave out instances when others come or go meanwhile.
            page_token: `next_page_token` of the page before, with the same filter and order.
        """
        statuses = _members("status", status)
        reasons = _members("termination_reason", termination_reason)
        if statuses == () or reasons == ():
            return InstancePage((), 0)
        numbers = [codec.STATUS_NUMBERS[each] for each in statuses or ()]
        check_page(limit, offset)
        message = pb.ListInstancesRequest(
            tenant_id=refuse_empty("tenant_id", tenant_id) or self.settings.tenant_id,
            status=numbers[0] if len(numbers) == 1 else None,
            statuses=numbers if len(numbers) > 1 else (),
            termination_reasons=[str(reason) for reason in reasons or ()],
            limit=limit,
            offset=offset,
            page_token=page_token or "",
            image_id=refuse_empty("image_id", image_id),
            created_after_ms=created_after_ms,
            created_before_ms=created_before_ms,
            finished_after_ms=finished_after_ms,
            finished_before_ms=finished_before_ms,
            order_by=order_by,
            image_name_prefix=image_name_prefix,
        )
        answer = (await self._call(pb.RpcRequest(list_instances=message), "list_instances")).list_instances
        instances = tuple(codec.decode_instance_summary(instance) for instance in answer.instances)
        return InstancePage(instances, answer.total_count, answer.next_page_token or None)

    def iterate_instances(
        self,
        *,
        tenant_id: str | None = None,
        status: InstanceStatus | Collection[InstanceStatus] | None = None,
        termination_reason: TerminationReason | Collection[TerminationReason] | None = None,
        image_id: str | None = None,
        image_name_prefix: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        finished_after_ms: int | None = None,
        finished_before_ms: int | None = None,
        order_by: str = "created_at_desc",
        page_size: int = 100,
    ) -> AsyncIterator[InstanceSummary]:
        """Every instance that a filter of `list_instances` finds, fetched a page at a time.

        Each comes once, whatever is created meanwhile. In an order by `finished_at`, one that ends meanwhile may come
        again or be missed, as its place changes.

        Example::

            async for instance in management.iterate_instances(status=InstanceStatus.FAILED):
                print(instance.instance_id, instance.termination_reason)
        """

        async def ask(token: str | None) -> InstancePage:
            return await self.list_instances(
                tenant_id=tenant_id,
                status=status,
                termination_reason=termination_reason,
                image_id=image_id,
                image_name_prefix=image_name_prefix,
                created_after_ms=created_after_ms,
                created_before_ms=created_before_ms,
                finished_after_ms=finished_after_ms,
                finished_before_ms=finished_before_ms,
                order_by=order_by,
                limit=page_size,
                page_token=token,
            )

        return iterate(ask, lambda page: page.instances)


def _members(name: str, given: Member | Collection[Member] | None) -> tuple[Member, ...] | None:
    """One or several values of a filter, each once; None for any."""
    if given is None or isinstance(given, StrEnum):
        return None if given is None else (given,)
    if isinstance(given, str):
        raise InvalidInputError(f"{name} is the text {given!r}: give a member of the enumeration, or several")
    return tuple(dict.fromkeys(given))
