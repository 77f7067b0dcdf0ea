"""Two cores on one PostgreSQL database, under everything that locks rows: one truth, and no deadlock gets out."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
from runtara_core.models import CheckpointFilter, CoreLimits, LeaseKey, NewInstance, RecoveryPolicy
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import InvalidStateError, StaleEpochError
from runtara_sdk.models import SignalType

NOW_MS = 1_750_000_000_000
LEASE_MS = 30_000
INSTANCES = 6
WRITERS = 8
ROUNDS = 20
CHECKPOINT_IDS = 40
LIMITS = CoreLimits(1_000, RecoveryPolicy(max_recoveries=1_000_000))


@pytest.fixture
async def cores(emptied_postgres_database_url: str) -> AsyncIterator[list[Storage]]:
    """Two storages with a pool and batches of their own, as two daemons have."""
    opened = [await open_storage(emptied_postgres_database_url) for _ in range(2)]
    for storage in opened:
        await storage.open()
    yield opened
    for storage in opened:
        await storage.close()


class Answers:
    """What the cores said of each checkpoint."""

    def __init__(self) -> None:
        self.stored_by: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
        self.read: defaultdict[tuple[str, str], set[bytes]] = defaultdict(set)
        self.refused = 0


async def _write(storage: Storage, writer: int, epochs: dict[str, int], answers: Answers) -> None:
    choose = random.Random(writer)
    for number in range(ROUNDS):
        instance_id = f"i-{choose.randrange(INSTANCES)}"
        # Several at once, so that batches fill and one id meets itself, in one batch and between the cores.
        ids = [f"step-{choose.randrange(CHECKPOINT_IDS)}" for _ in range(6)]
        states = [f"{writer}/{number}/{place}".encode() for place in range(len(ids))]
        epoch = epochs[instance_id]
        results = await asyncio.gather(
            *(
                storage.checkpoint(instance_id, epoch, checkpoint_id, state, now_ms=NOW_MS + number)
                for checkpoint_id, state in zip(ids, states, strict=True)
            ),
            return_exceptions=True,
        )
        for checkpoint_id, state, result in zip(ids, states, results, strict=True):
            if isinstance(result, BaseException):
                assert isinstance(result, StaleEpochError | InvalidStateError), result
                answers.refused += 1
            elif result.found:
                answers.read[instance_id, checkpoint_id].add(result.state)
            else:
                answers.stored_by[instance_id, checkpoint_id].append(state)


async def _supersede(storage: Storage, owner: str, epochs: dict[str, int], done: asyncio.Event) -> None:
    """Let leases run out and launch again, whatever the writers do meanwhile."""
    now_ms = NOW_MS
    while not done.is_set():
        now_ms += LEASE_MS
        for claim in await storage.claim_launches(
            owner, instance_id=None, limit=3, lease_ms=LEASE_MS, limits=LIMITS, now_ms=now_ms
        ):
            epochs[claim.instance_id] = claim.epoch
        keys = [LeaseKey(instance_id, epoch) for instance_id, epoch in epochs.items()]
        await storage.renew_leases(owner, keys, lease_ms=LEASE_MS, now_ms=now_ms)
        await storage.expire_leases(owner)
        await asyncio.gather(
            storage.send_signal("i-0", SignalType.PAUSE, b"", now_ms=now_ms),
            storage.send_signal("i-0", SignalType.RESUME, b"", now_ms=now_ms),
            storage.delete_finished(finished_before_ms=now_ms, limit=100),
        )


async def test_two_cores_agree_on_every_checkpoint(cores: list[Storage]) -> None:
    epochs: dict[str, int] = {}
    for number in range(INSTANCES):
        await cores[0].create_instance(NewInstance(f"i-{number}", "t", "image", b"{}"), now_ms=NOW_MS)
    claims = await cores[0].claim_launches(
        "first", instance_id=None, limit=INSTANCES, lease_ms=LEASE_MS, limits=LIMITS, now_ms=NOW_MS
    )
    epochs.update({claim.instance_id: claim.epoch for claim in claims})
    answers, done = Answers(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        others = [
            group.create_task(_supersede(storage, f"owner-{place}", epochs, done))
            for place, storage in enumerate(cores)
        ]
        writers = [group.create_task(_write(cores[writer % 2], writer, epochs, answers)) for writer in range(WRITERS)]
        await asyncio.wait(writers)
        done.set()
        await asyncio.wait(others)

    assert answers.stored_by
    for number in range(INSTANCES):
        instance_id = f"i-{number}"
        page = await cores[1].list_checkpoints(instance_id, CheckpointFilter(limit=1_000, offset=0))
        instance = await cores[1].get_instance(instance_id)
        assert instance is not None
        assert instance.checkpoint_count == page.total_count
        stored = {each.checkpoint_id for each in page.checkpoints}
        assert stored == {checkpoint_id for owner, checkpoint_id in answers.stored_by if owner == instance_id}
        for checkpoint_id in stored:
            state = await cores[0].get_checkpoint(instance_id, checkpoint_id)
            assert answers.stored_by[instance_id, checkpoint_id] == [state]
            assert answers.read[instance_id, checkpoint_id] <= {state}
