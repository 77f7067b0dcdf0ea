"""What is the same for every storage when an instance is retried or forked.

A retry lets an instance that has failed go on where it failed. It is pending again and due at once, with its input and
its checkpoints, so that recorded work is not done again. The step that failed begins with its first attempt and a fresh
budget; failures that a handler took over stay handled. What ended it is kept in an event of subtype `instance_retried`.

A fork is a new instance with the input of another and those of its checkpoints that were recorded before a step. Ids
hold the id of their instance, so the copies are named after the new one: whatever the fork does again is other work for
the outside world. Time limits and waits for rate limits are no work. They are not copied, and begin anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from runtara_sdk.errors import InvalidInputError, InvalidStateError
from runtara_sdk.instance_error import InstanceError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, TerminationReason
from runtara_sdk.recorded_steps import belongs_to_time, steps_of, under_another_instance

from runtara_core.models import ForkedInstance, InstanceFork

RETRIED_SUBTYPE = "instance_retried"
FORKED_SUBTYPE = "instance_forked"

RETRIABLE = frozenset({InstanceStatus.FAILED, InstanceStatus.CANCELLED})
"""A cancelled instance was stopped between two records like a failed one, and somebody asks for each retry."""

MAX_FORKED_CHECKPOINTS = 100_000
"""Most checkpoints of an instance that can be forked: it is locked while they are copied."""

_MAX_EVENT_ERROR_CHARACTERS = 4 * 1024
_MAX_STEPS_TOLD = 30


def require_retriable(instance_id: str, status: InstanceStatus) -> None:
    """Raise `InvalidStateError` unless the instance has failed or was cancelled."""
    if status not in RETRIABLE:
        hint = "it goes on by itself" if not status.is_terminal else "fork it to do some of its steps again"
        raise InvalidStateError(
            f"instance {instance_id} is {status}: only a failed or cancelled instance can be retried; {hint}"
        )


def retry_event_key(retry_key: str) -> str:
    """The key of the event of a retry: a retry with the same key is the same retry."""
    return f"retry:{retry_key}"


def retried_event(
    status: InstanceStatus,
    reason: TerminationReason | None,
    error: str | None,
    finished_at_ms: int | None,
    retry_key: str | None,
) -> InstanceEvent:
    """The event that keeps how the instance had ended: `status`, `termination_reason`, `error`, `finished_at_ms`."""
    payload = {
        "status": status,
        "termination_reason": reason,
        "error": None if error is None else error[:_MAX_EVENT_ERROR_CHARACTERS],
        "finished_at_ms": finished_at_ms,
    }
    key = None if retry_key is None else retry_event_key(retry_key)
    return InstanceEvent(EventType.CUSTOM, _json(payload), RETRIED_SUBTYPE, event_key=key)


def fork_event_key(fork: InstanceFork) -> str:
    """The key of the event of a fork: the same origin, step and image give the same key."""
    same = json.dumps([fork.origin_id, fork.from_step, fork.image_id])
    return f"fork:{hashlib.sha256(same.encode('utf-8', 'surrogatepass')).hexdigest()}"


def forked_event(fork: InstanceFork, forked: ForkedInstance) -> InstanceEvent:
    """The event that says where a fork comes from: `origin_id`, `from_step`, `copied`, `left_out`, `last_copied`."""
    payload = {
        "origin_id": fork.origin_id,
        "from_step": fork.from_step,
        "copied": forked.copied,
        "left_out": forked.left_out,
        "last_copied": forked.last_copied,
    }
    return InstanceEvent(EventType.CUSTOM, _json(payload), FORKED_SUBTYPE, event_key=fork_event_key(fork))


def earlier_fork(instance_id: str, payload: bytes) -> ForkedInstance:
    """The answer to a fork that is made again, from the payload of its event."""
    told = json.loads(payload)
    return ForkedInstance(instance_id, True, told["copied"], told["left_out"], told["last_copied"])


def copied_checkpoints(
    fork: InstanceFork, recorded: Mapping[str, int], attempted: Mapping[str, int], error: str | None
) -> dict[str, str]:
    """The checkpoints that a fork gets: their ids in the origin, and in the fork.

    Args:
        fork: the request; its `from_step` is a step of the scenario, a function or a checkpoint id.
        recorded: all checkpoints of the origin, in the order in which they were recorded, and when that was; of more
            than `MAX_FORKED_CHECKPOINTS` the first so many and one.
        attempted: calls that were tried again, and when that was first recorded.
        error: of an origin that failed: the step that it names has all that is recorded before it.

    Raises `InvalidInputError` that names the steps which a fork may begin with, or the bound.
    """
    if len(recorded) > MAX_FORKED_CHECKPOINTS:
        raise InvalidInputError(
            f"instance {fork.origin_id} has more than {MAX_FORKED_CHECKPOINTS} checkpoints: it cannot be forked"
        )
    kept = _before(fork, list(recorded.items()), attempted, error)
    origin_ids: dict[str, str] = {}
    for checkpoint_id in kept:
        if not belongs_to_time(checkpoint_id):
            new_id = under_another_instance(checkpoint_id, fork.origin_id, fork.instance_id)
            # Two have one only when a program has named a checkpoint after the fork; the first stays.
            origin_ids.setdefault(new_id, checkpoint_id)
    return {checkpoint_id: new_id for new_id, checkpoint_id in origin_ids.items()}


def _before(
    fork: InstanceFork, recorded: Sequence[tuple[str, int]], attempted: Mapping[str, int], error: str | None
) -> list[str]:
    step = fork.from_step
    everything = [checkpoint_id for checkpoint_id, _ in recorded]
    if step is None:
        return everything
    if step in everything:
        return everything[: everything.index(step)]
    for place, checkpoint_id in enumerate(everything):
        if step in steps_of(checkpoint_id, fork.origin_id):
            return everything[:place]
    tried = [at_ms for each, at_ms in attempted.items() if each == step or step in steps_of(each, fork.origin_id)]
    if tried:
        return [checkpoint_id for checkpoint_id, at_ms in recorded if at_ms <= min(tried)]
    if error is not None and InstanceError.parse(error).step_id == step:
        return everything
    raise InvalidInputError(
        f"instance {fork.origin_id} has no record of step {step!r}, so nothing tells what came before it; "
        f"fork it from {_known(fork.origin_id, [*everything, *attempted])}"
    )


def _known(origin_id: str, checkpoint_ids: Sequence[str]) -> str:
    steps: dict[str, None] = {}
    for checkpoint_id in checkpoint_ids:
        if not belongs_to_time(checkpoint_id):
            steps.update(dict.fromkeys(steps_of(checkpoint_id, origin_id)[-1:] or (checkpoint_id,)))
    named = [repr(step) for step in steps][:_MAX_STEPS_TOLD]
    if len(steps) > len(named):
        named.append(f"{len(steps) - len(named)} more that its checkpoints show")
    return f"one of {', '.join(named)}, or from its end by naming no step" if named else "its end by naming no step"


def _json(payload: Mapping[str, object]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
