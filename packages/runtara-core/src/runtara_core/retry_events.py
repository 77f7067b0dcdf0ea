"""The event that shows a retry to whoever lists events.

A storage appends it in the transaction that first records the attempt: it is there once for each, however often the
program sends its call, and costs the program nothing. As attempts are bounded by their policy, so are these events.
"""

from __future__ import annotations

import json

from runtara_sdk.models import EventType, InstanceEvent, RetryAttempt

RETRY_ATTEMPT_SUBTYPE = "retry_attempt"
MAX_EVENT_ERROR_CHARACTERS = 4 * 1024
"""Of a longer error the event has the beginning; `retry_attempts` keeps more of it."""


def retry_attempt_event(checkpoint_id: str, attempt: RetryAttempt, next_attempt_at_ms: int) -> InstanceEvent:
    """A custom event of subtype `retry_attempt` on the checkpoint of the call.

    Its payload is a JSON object: `attempt_number` (2, 3, ...), `max_attempts` (null: not known), `error` (of the
    attempt before; null: none), `wait_ms`, `next_attempt_at_ms` (milliseconds since 1970 UTC).

    Args:
        checkpoint_id: key of the call.
        attempt: with an error that UTF-8 can write.
        next_attempt_at_ms: when it may run, by the clock of the storage.
    """
    payload = {
        "attempt_number": attempt.attempt_number,
        "max_attempts": attempt.max_attempts,
        "error": None if attempt.error is None else attempt.error[:MAX_EVENT_ERROR_CHARACTERS],
        "wait_ms": attempt.wait_ms,
        "next_attempt_at_ms": next_attempt_at_ms,
    }
    encoded = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    return InstanceEvent(EventType.CUSTOM, encoded, RETRY_ATTEMPT_SUBTYPE, checkpoint_id)
