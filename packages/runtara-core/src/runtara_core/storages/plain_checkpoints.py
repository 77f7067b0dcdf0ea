"""The plain checkpoint: a running instance, its current process, an id that nobody used yet.

Each database has a way of its own for it, with fewer statements than the verb itself; both answer alike.
"""

from __future__ import annotations

from runtara_sdk.models import CheckpointResult, CustomSignal, Signal, SignalType

from runtara_core.database import Row

LARGEST_INTEGER = 2**63 - 1


def fits_columns(epoch: int | None, now_ms: int) -> bool:
    """Whether the integers of a checkpoint can be compared with what is stored."""
    return (epoch is None or 0 <= epoch <= LARGEST_INTEGER) and 0 <= now_ms <= LARGEST_INTEGER


def result_of_plain_checkpoint(checkpoint_id: str, row: Row) -> CheckpointResult:
    """The answer to a checkpoint that was stored, from a row with the most urgent signal and the custom one."""
    signal_type, custom = row["signal_type"], row["custom_payload"]
    return CheckpointResult(
        found=False,
        state=b"",
        pending_signal=None
        if signal_type is None
        else Signal(SignalType(signal_type), payload=row["signal_payload"], signal_id=row["signal_id"]),
        custom_signal=None if custom is None else CustomSignal(checkpoint_id, payload=custom),
    )
