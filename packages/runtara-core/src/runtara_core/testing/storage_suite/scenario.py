"""Short names for the situations that the cases start from."""

from __future__ import annotations

from collections.abc import Sequence

from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, SignalType, TerminationReason

from runtara_core.models import CoreLimits, EventFilter, Instance, LaunchClaim, LeaseKey, NewInstance, RecoveryPolicy
from runtara_core.storage import Storage

START_MS = 1_750_000_000_000
LEASE_MS = 30_000
TENANT = "tenant-1"
LIMITS = CoreLimits(
    max_concurrent_instances=1_000,
    recovery=RecoveryPolicy(max_recoveries=3, backoff_base_ms=1_000, backoff_cap_ms=60_000),
)


def limit_of(max_concurrent_instances: int) -> CoreLimits:
    """The usual limits with another number of instances."""
    return CoreLimits(max_concurrent_instances, LIMITS.recovery)


async def register(
    storage: Storage,
    instance_id: str = "own-1",
    *,
    epoch: int | None = None,
    tenant_id: str = TENANT,
    checkpoint_id: str | None = None,
    registration_key: str | None = None,
    limits: CoreLimits = LIMITS,
    now_ms: int = START_MS,
) -> int:
    """Register a process; returns its epoch."""
    registration = await storage.register_instance(
        instance_id,
        tenant_id,
        epoch=epoch,
        checkpoint_id=checkpoint_id,
        registration_key=registration_key,
        limits=limits,
        now_ms=now_ms,
    )
    return registration.epoch


async def create(
    storage: Storage,
    instance_id: str = "managed-1",
    *,
    tenant_id: str = TENANT,
    image_id: str = "image-1",
    input_envelope: bytes = b'{"data":{}}',
    now_ms: int = START_MS,
) -> None:
    """Create an instance that an environment launches."""
    await storage.create_instance(
        NewInstance(instance_id, tenant_id, image_id, input_envelope, b'{"timeout_ms":5}'), now_ms=now_ms
    )


async def claim(
    storage: Storage,
    *,
    owner: str = "environment-1",
    instance_id: str | None = None,
    limit: int = 100,
    limits: CoreLimits = LIMITS,
    lease_ms: int = LEASE_MS,
    now_ms: int = START_MS,
    without_images: Sequence[str] = (),
    leases_ended_by_ms: int | None = None,
) -> list[LaunchClaim]:
    """Claim what is due."""
    return await storage.claim_launches(
        owner,
        instance_id=instance_id,
        limit=limit,
        lease_ms=lease_ms,
        limits=limits,
        now_ms=now_ms,
        without_images=without_images,
        leases_ended_by_ms=leases_ended_by_ms,
    )


async def launch(
    storage: Storage, instance_id: str = "managed-1", *, now_ms: int = START_MS, registered: bool = True
) -> LeaseKey:
    """Claim one due instance and let its process register."""
    (claimed,) = await claim(storage, instance_id=instance_id, now_ms=now_ms)
    if registered:
        await register(storage, instance_id, epoch=claimed.epoch, now_ms=now_ms)
    return LeaseKey(instance_id, claimed.epoch)


async def launched(
    storage: Storage, instance_id: str = "managed-1", *, now_ms: int = START_MS, registered: bool = True
) -> LeaseKey:
    """Create an instance and launch it."""
    await create(storage, instance_id, now_ms=now_ms)
    return await launch(storage, instance_id, now_ms=now_ms, registered=registered)


async def get(storage: Storage, instance_id: str) -> Instance:
    """The row, which must exist."""
    instance = await storage.get_instance(instance_id)
    assert instance is not None
    return instance


async def event_types(storage: Storage, instance_id: str) -> Sequence[str]:
    """Types of all events, oldest first."""
    page = await storage.list_events(instance_id, EventFilter(ascending=True))
    return [event.event_type for event in page.events]


async def report(
    storage: Storage,
    key: LeaseKey,
    event_type: EventType,
    payload: bytes = b"",
    *,
    subtype: str | None = None,
    checkpoint_id: str | None = None,
    event_key: str | None = None,
    now_ms: int = START_MS,
) -> InstanceStatus:
    """Report an event as the process of a launch."""
    event = InstanceEvent(event_type, payload, subtype=subtype, checkpoint_id=checkpoint_id, event_key=event_key)
    return await storage.report_event(key.instance_id, key.epoch, event, now_ms=now_ms)


async def park_for_signal(
    storage: Storage, key: LeaseKey, checkpoint_id: str, *, now_ms: int = START_MS
) -> InstanceStatus:
    """Let a process suspend its instance until a custom signal comes."""
    return await report(
        storage,
        key,
        EventType.SUSPENDED,
        subtype=TerminationReason.WAITING_SIGNAL,
        checkpoint_id=checkpoint_id,
        now_ms=now_ms,
    )


async def send(
    storage: Storage, instance_id: str, signal_type: SignalType, *, now_ms: int = START_MS
) -> InstanceStatus:
    """Send a signal without payload."""
    return await storage.send_signal(instance_id, signal_type, b"", now_ms=now_ms)
