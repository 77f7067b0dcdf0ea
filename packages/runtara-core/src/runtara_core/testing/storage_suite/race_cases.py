"""Questions that two callers ask at once: whatever the order, the answers fit together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from runtara_sdk.errors import ConcurrencyLimitError, InvalidStateError, RuntaraError
from runtara_sdk.models import CustomSignal, EventType, InstanceStatus, SignalType, TerminationReason

from runtara_core.models import CheckpointFilter, ExitReport, NewInstance
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    LIMITS,
    START_MS,
    TENANT,
    claim,
    create,
    event_types,
    get,
    launched,
    limit_of,
    park_for_signal,
    register,
    report,
    send,
)

_ROUNDS = range(4)


async def _together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Results or expected errors of calls made at once; any other error is raised."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, RuntaraError):
            raise result
    return results


class RaceCases:
    """Races, each in several rounds."""

    async def test_concurrent_checkpoints_of_one_id_agree_on_the_winner(self, storage: Storage) -> None:
        await register(storage)
        for number in _ROUNDS:
            results = await _together(
                *(
                    storage.checkpoint("own-1", 1, f"step-{number}", b"%d" % caller, now_ms=START_MS)
                    for caller in range(8)
                )
            )
            assert [result.found for result in results].count(False) == 1
            stored = await storage.get_checkpoint("own-1", f"step-{number}")
            winner = next(index for index, result in enumerate(results) if not result.found)
            assert stored == b"%d" % winner
            assert {result.state for result in results if result.found} == {stored}
        assert (await get(storage, "own-1")).checkpoint_count == len(_ROUNDS)

    async def test_concurrent_registrations_get_different_epochs(self, storage: Storage) -> None:
        epochs = await _together(*(register(storage) for _ in range(6)))
        assert sorted(epochs) == [1, 2, 3, 4, 5, 6]
        assert (await get(storage, "own-1")).epoch == 6

    async def test_concurrent_creations_make_one_instance(self, storage: Storage) -> None:
        new = NewInstance("managed-1", TENANT, "image-1", b"{}")
        results = await _together(*(storage.create_instance(new, now_ms=START_MS) for _ in range(6)))
        assert [result.deduplicated for result in results].count(False) == 1

    async def test_concurrent_claims_share_what_is_due(self, storage: Storage) -> None:
        for number in range(12):
            await create(storage, f"managed-{number}")
        claims = await _together(*(claim(storage, owner=f"environment-{n}", limit=5) for n in range(4)))
        claimed = [each.instance_id for batch in claims for each in batch]
        assert len(claimed) == len(set(claimed))
        claimed += [each.instance_id for each in await claim(storage)]
        assert len(set(claimed)) == 12

    async def test_concurrent_claims_and_registrations_respect_the_limit(self, storage: Storage) -> None:
        for number in range(6):
            await create(storage, f"managed-{number}")
        results = await _together(
            *(claim(storage, owner=f"environment-{n}", limit=2, limits=limit_of(4)) for n in range(3)),
            *(register(storage, f"own-{number}", limits=limit_of(4)) for number in range(6)),
        )
        running = sum(len(result) for result in results[:3]) + sum(isinstance(result, int) for result in results[3:])
        assert running == await storage.count_running() == 4
        refused = [result for result in results[3:] if not isinstance(result, int)]
        assert all(isinstance(result, ConcurrencyLimitError) for result in refused)

    async def test_a_claim_and_a_cancel_agree(self, storage: Storage) -> None:
        for number in _ROUNDS:
            instance_id = f"managed-{number}"
            await create(storage, instance_id)
            claims, status = await _together(
                claim(storage, instance_id=instance_id), send(storage, instance_id, SignalType.CANCEL)
            )
            instance = await get(storage, instance_id)
            if claims:
                assert status is instance.status is InstanceStatus.RUNNING
                poll = await storage.poll_signals(instance_id, claims[0].epoch, None, now_ms=START_MS)
                assert poll.signal is not None
                assert poll.signal.signal_type is SignalType.CANCEL
            else:
                assert status is instance.status is InstanceStatus.CANCELLED

    async def test_a_completion_and_an_exit_agree(self, storage: Storage) -> None:
        for number in _ROUNDS:
            key = await launched(storage, f"managed-{number}")
            report_of_exit = ExitReport(TerminationReason.CRASHED, exit_code=1)
            completed, decision = await _together(
                report(storage, key, EventType.COMPLETED, b"result"),
                storage.report_exit(key, report_of_exit, limits=LIMITS, now_ms=START_MS),
            )
            instance = await get(storage, key.instance_id)
            if isinstance(completed, InvalidStateError):
                assert decision.status is instance.status is InstanceStatus.SUSPENDED
                assert instance.output is None
            else:
                assert decision.status is instance.status is InstanceStatus.COMPLETED
                assert instance.output == b"result"

    async def test_a_park_and_a_custom_signal_never_miss_each_other(self, storage: Storage) -> None:
        for number in _ROUNDS:
            key = await launched(storage, f"managed-{number}")
            await _together(
                park_for_signal(storage, key, "gate"),
                storage.send_custom_signal(key.instance_id, CustomSignal("gate"), now_ms=START_MS),
            )
            instance = await get(storage, key.instance_id)
            assert instance.status is InstanceStatus.SUSPENDED
            assert instance.wake_at_ms == START_MS

    async def test_a_park_and_a_cancel_never_miss_each_other(self, storage: Storage) -> None:
        for number in _ROUNDS:
            key = await launched(storage, f"managed-{number}")
            await _together(
                storage.sleep(
                    key.instance_id, key.epoch, "nap", b"", duration_ms=9, suspend_above_ms=0, now_ms=START_MS
                ),
                send(storage, key.instance_id, SignalType.CANCEL),
            )
            instance = await get(storage, key.instance_id)
            if instance.status is not InstanceStatus.CANCELLED:
                # The signal came first, so the sleep told the process to stay and poll.
                assert instance.status is InstanceStatus.RUNNING

    async def test_one_event_key_reported_at_once_is_appended_once(self, storage: Storage) -> None:
        key = await launched(storage)
        await _together(*(report(storage, key, EventType.CUSTOM, event_key="note") for _ in range(6)))
        await _together(*(report(storage, key, EventType.COMPLETED, b"1") for _ in range(6)))
        assert await event_types(storage, "managed-1") == ["started", "custom", "completed"]

    async def test_a_cancelled_caller_leaves_all_or_nothing(self, storage: Storage) -> None:
        await register(storage)
        for number in range(12):
            call = asyncio.ensure_future(storage.checkpoint("own-1", 1, f"step-{number}", b"1", now_ms=START_MS))
            for _ in range(number):
                await asyncio.sleep(0)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
        # A transaction that was under way may still be on its way; the next one on the same row comes after it.
        await storage.checkpoint("own-1", 1, "last", b"", now_ms=START_MS)
        page = await storage.list_checkpoints("own-1", CheckpointFilter(limit=100, offset=0))
        assert (await get(storage, "own-1")).checkpoint_count == page.total_count
