"""Instances that go on where they failed, and new ones that begin with what others have recorded."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence

from runtara_sdk.errors import DeadlineExceededError, InvalidInputError, InvalidStateError, RuntaraError, TransportError
from runtara_sdk.identifiers import refuse_empty
from runtara_sdk.management import codec
from runtara_sdk.management.instances import InstanceVerbs
from runtara_sdk.management.lists import ListVerbs
from runtara_sdk.management.models import ForkedInstance, RetriedInstance, RetriedInstances, RetryOutcome
from runtara_sdk.models import InstanceStatus
from runtara_sdk.protocol import environment_pb2 as pb

MAX_RETRIES = 1_000
"""Most instances of one `retry_instances`."""

_AT_ONCE = 4
"""How many of them are under way at a time."""

_RETRIABLE = (InstanceStatus.FAILED, InstanceStatus.CANCELLED)


class RestartVerbs(InstanceVerbs, ListVerbs):
    """The part of `ManagementSdk` that retries and forks instances."""

    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None) -> RetriedInstance:
        """Let a failed or cancelled instance go on where it ended.

        It is pending again and launched at once, with its input, its files and its checkpoints: what is recorded is not
        done again. The step that failed begins with its first attempt, with all its retries before it. Failures that
        a handler took over stay handled, and time limits that have passed stay passed: fork such an instance. An event
        of subtype `instance_retried` keeps how it had ended. A capability that is called at most once is not called
        again while nobody knows whether it took effect.

        Args:
            instance_id: the instance.
            retry_key: names this retry, up to 200 characters. One whose answer was lost may be repeated with its key:
                it is answered as before and changes nothing. Without a key, a repetition is refused once the instance
                goes on.

        Raises:
            InvalidStateError: the instance is not failed or cancelled; of two retries at once, one gets this.
            InstanceNotFoundError: there is no such instance.
            ImageNotFoundError: its version of its image is gone; fork it with another image.

        Example::

            failed = await management.get_instance_status("order-17")
            if failed.status is InstanceStatus.FAILED:
                await management.retry_instance("order-17")
                ended = await management.wait_for_completion("order-17")
        """
        message = pb.RetryInstanceRequest(
            instance_id=instance_id,
            retry_key=refuse_empty("retry_key", retry_key),
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(retry_instance=message), "retry_instance")
        codec.require_success(response.retry_instance, "retry_instance")
        return RetriedInstance(instance_id, response.retry_instance.deduplicated)

    async def retry_instances(
        self,
        instance_ids: Sequence[str] | None = None,
        *,
        status: InstanceStatus = InstanceStatus.FAILED,
        tenant_id: str | None = None,
        image_id: str | None = None,
        image_name_prefix: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        finished_after_ms: int | None = None,
        finished_before_ms: int | None = None,
        limit: int = 100,
        dry_run: bool = False,
    ) -> RetriedInstances:
        """Retry the instances that are named, or those that a filter finds, oldest first.

        One that is refused does not keep the others from being retried. When the environment can no longer be reached,
        the rest is not asked for. For the next page call again: what goes on matches no more. Give
        `finished_before_ms` the time of the first call, and instances that fail again meanwhile are not retried twice.

        Args:
            instance_ids: these and no filter.
            status: failed, or cancelled.
            tenant_id: only of this tenant.
            image_id: only of this image.
            image_name_prefix: only of images whose names begin so.
            created_after_ms: only created since then; `*_after_ms` is inclusive, `*_before_ms` exclusive.
            created_before_ms: only created before then.
            finished_after_ms: only finished since then.
            finished_before_ms: only finished before then.
            limit: most instances of this call, 1 to 1000.
            dry_run: say which would be retried, and change nothing.

        Example::

            hour_ago_ms = (time.time() - 3600) * 1000
            planned = await management.retry_instances(created_after_ms=round(hour_ago_ms), dry_run=True)
            print(len(planned.outcomes), "of", planned.total_count)
            retried = await management.retry_instances(created_after_ms=round(hour_ago_ms), limit=1000)
            refused = [outcome for outcome in retried.outcomes if not outcome.accepted]
        """
        if not 1 <= limit <= MAX_RETRIES:
            raise InvalidInputError(f"limit is {limit}: retry 1 to {MAX_RETRIES} instances in one call")
        if status not in _RETRIABLE:
            raise InvalidInputError(f"status is {status}: only failed and cancelled instances can be retried")
        if instance_ids is None:
            page = await self.list_instances(
                tenant_id=tenant_id,
                status=status,
                image_id=image_id,
                image_name_prefix=image_name_prefix,
                created_after_ms=created_after_ms,
                created_before_ms=created_before_ms,
                finished_after_ms=finished_after_ms,
                finished_before_ms=finished_before_ms,
                order_by="created_at_asc",
                limit=limit,
            )
            chosen, total_count = [instance.instance_id for instance in page.instances], page.total_count
        else:
            chosen = list(dict.fromkeys(instance_ids))
            total_count = len(chosen)
            if total_count > limit:
                raise InvalidInputError(f"{total_count} instances are named, more than limit {limit}: name fewer")

        async def retry(instance_id: str) -> None:
            if not dry_run:
                await self.retry_instance(instance_id)
            elif instance_ids is not None:
                await self._require_retriable(instance_id)

        return RetriedInstances(await _outcomes(chosen, retry), total_count, dry_run)

    async def _require_retriable(self, instance_id: str) -> None:
        instance = await self.get_instance_status(instance_id)
        if instance.status not in _RETRIABLE:
            raise InvalidStateError(
                f"instance {instance_id} is {instance.status}: only a failed or cancelled instance can be retried"
            )

    async def fork_instance(
        self,
        origin_id: str,
        *,
        from_step: str | None = None,
        image_id: str | None = None,
        instance_id: str | None = None,
        dry_run: bool = False,
    ) -> ForkedInstance:
        """Start a new instance with the input of another and what that one recorded before a step.

        The step, and all that was recorded at or after its first record, is done again, under the new id. The origin
        does not change, and may be in any status: a running one is copied as it is at that moment. The fork belongs to
        the same tenant. It gets a copy of the files that the origin has now on the host of the environment, since what
        they were before the step is not known. Time limits begin anew. An event of subtype `instance_forked` says where
        it comes from.

        The same fork again (id, origin, step and image) is accepted and changes nothing.

        Args:
            origin_id: the instance to begin with.
            from_step: the first step to be done again: a step of the scenario, a `@durable` function or a checkpoint
                id. None keeps all that is recorded.
            image_id: image to go on with, in its newest version; None takes image and version of the origin.
            instance_id: chosen id of the fork; None makes one, the empty text is refused.
            dry_run: say what the fork would begin with, and create nothing.

        Raises:
            InvalidInputError: the origin has no record of the step; the message names those that it has.
            InstanceNotFoundError: there is no such origin.
            InstanceExistsError: the id is taken by another instance.
            ImageNotFoundError: there is no such image, or the origin's version of its image is gone.

        Example::

            fork = await management.fork_instance("order-17", from_step="charge", image_id=image.image_id)
            ended = await management.wait_for_completion(fork.instance_id)
        """
        message = pb.ForkInstanceRequest(
            origin_id=origin_id,
            tenant_id=self.settings.tenant_id,
            instance_id=refuse_empty("instance_id", instance_id) or str(uuid.uuid4()),
            from_step=refuse_empty("from_step", from_step),
            image_id=refuse_empty("image_id", image_id),
            dry_run=dry_run,
        )
        response = await self._call(pb.RpcRequest(fork_instance=message), "fork_instance")
        answer = response.fork_instance
        codec.require_success(answer, "fork_instance")
        return ForkedInstance(
            answer.instance_id,
            origin_id,
            answer.deduplicated,
            answer.copied,
            answer.left_out,
            answer.last_copied if answer.HasField("last_copied") else None,
        )


async def _outcomes(chosen: Sequence[str], retry: Callable[[str], Awaitable[None]]) -> tuple[RetryOutcome, ...]:
    """What comes of each, a few at a time in their order; once the environment is gone it is not asked any more."""
    outcomes: dict[str, RetryOutcome] = {}
    waiting = iter(chosen)
    lost: RuntaraError | None = None

    async def work() -> None:
        nonlocal lost
        for instance_id in waiting:
            try:
                if lost is not None:
                    raise lost
                await retry(instance_id)
                outcomes[instance_id] = RetryOutcome(instance_id, accepted=True)
            except RuntaraError as error:
                if isinstance(error, TransportError | DeadlineExceededError):
                    lost = error
                outcomes[instance_id] = RetryOutcome(instance_id, accepted=False, code=error.code, reason=error.message)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_AT_ONCE, len(chosen))):
            group.create_task(work(), name="retry several instances")
    return tuple(outcomes[instance_id] for instance_id in chosen)
