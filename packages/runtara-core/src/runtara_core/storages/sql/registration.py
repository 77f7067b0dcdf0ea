"""How instances come into being and how processes take them over."""

from __future__ import annotations

from runtara_sdk.errors import (
    ConcurrencyLimitError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
from runtara_sdk.models import EventType, InstanceStatus, Registration, SignalType

from runtara_core.database import Transaction
from runtara_core.models import CoreLimits, CreatedInstance, NewInstance
from runtara_core.storages.sql.limits import (
    require_checkpoint_id,
    require_event_key,
    require_instance_id,
    require_tenant_id,
)
from runtara_core.storages.sql.retention import first_epoch
from runtara_core.storages.sql.state import (
    InstanceState,
    close_signal,
    lock_instance,
    require_changed,
    require_current,
    require_unfinished,
    stamp_contact,
)
from runtara_core.storages.sql.turns import tenant_has_room

# A process that registers after its launch was given up has no lease; unless an environment adopts it within this
# time, the instance is launched again.
_ADOPTION_LEASE_MS = 60_000


async def create_instance(transaction: Transaction, new: NewInstance, *, now_ms: int) -> CreatedInstance:
    """Insert a pending instance that is due now, or recognise the same start."""
    require_instance_id(new.instance_id)
    require_tenant_id(new.tenant_id)
    if not new.image_id:
        raise InvalidInputError("image_id must not be empty")
    inserted = await transaction.execute(
        "insert_instance",
        instance_id=new.instance_id,
        tenant_id=new.tenant_id,
        image_id=new.image_id,
        epoch=await first_epoch(transaction),
        now_ms=now_ms,
        wake_at_ms=now_ms,
    )
    if not inserted:
        existing = await lock_instance(transaction, new.instance_id)
        if (existing.tenant_id, existing.image_id) != (new.tenant_id, new.image_id):
            raise InstanceExistsError(_taken(new.instance_id))
        return CreatedInstance(new.instance_id, deduplicated=True)
    await transaction.execute(
        "insert_instance_input",
        instance_id=new.instance_id,
        input=new.input,
        launch_options=new.launch_options,
    )
    return CreatedInstance(new.instance_id, deduplicated=False)


def _taken(instance_id: str) -> str:
    # All that anybody may learn of another tenant's instance.
    return f"instance id {instance_id} is taken: choose another"


async def register_instance(
    transaction: Transaction,
    instance_id: str,
    tenant_id: str,
    *,
    epoch: int | None,
    checkpoint_id: str | None,
    registration_key: str | None,
    limits: CoreLimits,
    now_ms: int,
) -> Registration:
    """Make the caller the process of the instance."""
    require_instance_id(instance_id)
    require_tenant_id(tenant_id)
    event_key = None if registration_key is None else f"registration:{registration_key}"
    if event_key is not None:
        require_event_key(event_key)
    # Admission is locked before any row, as claims do, so that the two never wait for each other in a circle.
    await transaction.fetch_one("lock_admission")
    state = await _lock_or_create(transaction, instance_id, tenant_id, epoch, now_ms)
    if state.tenant_id != tenant_id:
        raise InvalidInputError(_taken(instance_id))
    if event_key is not None and await _was_made(transaction, state, event_key):
        return Registration(state.epoch)
    _require_registrable(state, epoch)
    if checkpoint_id is not None:
        require_checkpoint_id(checkpoint_id)
        if not await transaction.fetch_one("has_checkpoint", instance_id=instance_id, checkpoint_id=checkpoint_id):
            raise InvalidInputError(f"instance {instance_id} has no checkpoint {checkpoint_id!r}")
    if state.status is not InstanceStatus.RUNNING:
        await _require_room(transaction, tenant_id, limits)
    new_epoch = state.epoch + 1 if epoch is None else epoch
    lease_until_ms = state.lease_until_ms
    if state.is_managed and lease_until_ms is None:
        lease_until_ms = now_ms + _ADOPTION_LEASE_MS
    changed = await transaction.execute(
        "enter_running",
        instance_id=instance_id,
        epoch=state.epoch,
        from_status=state.status,
        new_epoch=new_epoch,
        lease_until_ms=lease_until_ms,
        now_ms=now_ms,
    )
    require_changed(state, changed)
    await stamp_contact(transaction, state, now_ms)
    if new_epoch != state.epoch and state.status is InstanceStatus.RUNNING:
        # It was meant for the process that this one replaces.
        await close_signal(transaction, instance_id, SignalType.SHUTDOWN, now_ms)
    await transaction.execute(
        "insert_event",
        instance_id=instance_id,
        epoch=new_epoch,
        event_type=EventType.STARTED,
        subtype=None,
        checkpoint_id=checkpoint_id,
        event_key=event_key,
        now_ms=now_ms,
        payload=None,
    )
    return Registration(new_epoch, is_new=state.started_at_ms is None and state.checkpoint_id is None)


async def _lock_or_create(
    transaction: Transaction, instance_id: str, tenant_id: str, epoch: int | None, now_ms: int
) -> InstanceState:
    try:
        return await lock_instance(transaction, instance_id)
    except InstanceNotFoundError:
        if epoch is not None:
            raise
    await transaction.execute(
        "insert_instance",
        instance_id=instance_id,
        tenant_id=tenant_id,
        image_id=None,
        epoch=await first_epoch(transaction),
        now_ms=now_ms,
        wake_at_ms=None,
    )
    # Whether this call inserted it or a concurrent one did: the row decides.
    return await lock_instance(transaction, instance_id)


async def _was_made(transaction: Transaction, state: InstanceState, event_key: str) -> bool:
    """Whether this registration is repeated; refuses one that others have followed."""
    row = await transaction.fetch_one("load_event_epoch", instance_id=state.instance_id, event_key=event_key)
    if row is None:
        return False
    if row["epoch"] != state.epoch or state.status is not InstanceStatus.RUNNING:
        raise StaleEpochError(
            f"instance {state.instance_id} is {state.status} at epoch {state.epoch}, the registration is of the past"
        )
    return True


def _require_registrable(state: InstanceState, epoch: int | None) -> None:
    if epoch is not None:
        require_current(state, epoch)
        if state.status not in (InstanceStatus.RUNNING, InstanceStatus.PENDING):
            raise InvalidStateError(f"instance {state.instance_id} is {state.status}: this launch may not go on")
        return
    if state.is_managed:
        raise InvalidStateError(
            f"instance {state.instance_id} is launched by an environment: only its launches may register"
        )
    require_unfinished(state, "registration")


async def _require_room(transaction: Transaction, tenant_id: str, limits: CoreLimits) -> None:
    row = await transaction.fetch_one("count_running")
    if row is not None and row["running"] >= limits.max_concurrent_instances:
        raise ConcurrencyLimitError(
            f"{limits.max_concurrent_instances} instances run already, as many as"
            " RUNTARA_MAX_CONCURRENT_INSTANCES allows; try again later"
        )
    if not await tenant_has_room(transaction, tenant_id, limits):
        raise ConcurrencyLimitError(
            f"{limits.max_concurrent_instances_of_tenant} instances of tenant {tenant_id} run already, as many as"
            " RUNTARA_MAX_CONCURRENT_INSTANCES_PER_TENANT allows; try again later"
        )
