"""Answers to instances: whatever is stored fits into one."""

from __future__ import annotations

import pytest
from runtara_core.instance_service import MAX_STATE_BYTES
from runtara_core.management_service import MAX_SIGNAL_BYTES
from runtara_core.wire.instance_codec import (
    decode_new_checkpoints,
    decode_retry_attempt,
    encode_checkpoint_result,
    encode_checkpoint_results,
    encode_signal_poll,
)
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import (
    MAX_CHECKPOINTS,
    CheckpointResult,
    CustomSignal,
    NewCheckpoint,
    RetryAttempt,
    Signal,
    SignalPoll,
    SignalType,
)
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.protocol.frame import MAX_PAYLOAD_SIZE

LARGEST_CUSTOM = CustomSignal("step", bytes(MAX_SIGNAL_BYTES))
LARGEST_SIGNAL = Signal(SignalType.PAUSE, bytes(MAX_SIGNAL_BYTES), 7)
LONGEST_ID = "i" * 255


@pytest.mark.parametrize("state_bytes", [0, MAX_STATE_BYTES - MAX_SIGNAL_BYTES, MAX_STATE_BYTES])
def test_the_answer_to_a_checkpoint_fits_whatever_signals_wait(state_bytes: int) -> None:
    result = CheckpointResult(True, bytes(state_bytes), LARGEST_SIGNAL, LARGEST_CUSTOM)
    answer = encode_checkpoint_result(LONGEST_ID, result)
    assert pb.RpcResponse(checkpoint=answer).ByteSize() <= MAX_PAYLOAD_SIZE
    assert len(answer.state) == state_bytes
    # That a signal waits is told in any case.
    assert (answer.pending_signal.signal_type, answer.pending_signal.signal_id) == (pb.SIGNAL_PAUSE, 7)


def test_small_signals_come_along_with_a_checkpoint() -> None:
    signal, custom = Signal(SignalType.CANCEL, b"why", 3), CustomSignal("step", b"yes")
    answer = encode_checkpoint_result("i", CheckpointResult(True, bytes(1024), signal, custom))
    assert answer.pending_signal.payload == b"why"
    assert answer.custom_signal.payload == b"yes"


@pytest.mark.parametrize("state_bytes", [0, 1024, MAX_STATE_BYTES // MAX_CHECKPOINTS])
def test_the_answer_to_several_checkpoints_fits_whatever_signals_wait(state_bytes: int) -> None:
    custom = CustomSignal("c" * 2_000, bytes(256 * 1024))
    results = [CheckpointResult(True, bytes(state_bytes), LARGEST_SIGNAL, custom)] * MAX_CHECKPOINTS
    answer = encode_checkpoint_results(LONGEST_ID, results)
    assert pb.RpcResponse(checkpoints=answer).ByteSize() <= MAX_PAYLOAD_SIZE
    assert [len(each.state) for each in answer.checkpoints] == [state_bytes] * MAX_CHECKPOINTS
    assert (answer.pending_signal.signal_type, answer.pending_signal.signal_id) == (pb.SIGNAL_PAUSE, 7)
    assert not any(each.HasField("pending_signal") for each in answer.checkpoints)


def test_several_checkpoints_are_read_up_to_their_limit() -> None:
    entry = pb.CheckpointEntry(checkpoint_id="a", state=b"1", call_key=b"k")
    message = pb.CheckpointsRequest(instance_id="i", checkpoints=[entry] * MAX_CHECKPOINTS)
    assert decode_new_checkpoints(message) == [NewCheckpoint("a", b"1", b"k")] * MAX_CHECKPOINTS
    message.checkpoints.append(entry)
    with pytest.raises(InvalidInputError, match=f"more than {MAX_CHECKPOINTS}"):
        decode_new_checkpoints(message)


def test_how_many_attempts_there_may_be_is_known_only_when_told() -> None:
    message = pb.RetryAttemptEvent(attempt_number=2, timestamp_ms=5, next_attempt_at_ms=12, retries_used=1)
    assert decode_retry_attempt(message) == RetryAttempt(2, None, 7, 1)
    message.max_attempts = 4
    assert decode_retry_attempt(message) == RetryAttempt(2, None, 7, 1, max_attempts=4)


def test_the_answer_to_a_poll_carries_the_largest_signals() -> None:
    answer = encode_signal_poll(LONGEST_ID, SignalPoll(LARGEST_SIGNAL, LARGEST_CUSTOM))
    assert pb.RpcResponse(poll_signals=answer).ByteSize() <= MAX_PAYLOAD_SIZE
    assert len(answer.custom_signal.payload) == MAX_SIGNAL_BYTES
