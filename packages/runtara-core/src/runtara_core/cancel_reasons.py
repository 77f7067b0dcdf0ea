"""Why somebody had an instance cancelled, kept as an event of it: the same in every storage.

The payload of a cancel is its reason. The signal itself goes with the epoch, so the reason is kept where it stays.
"""

from __future__ import annotations

import hashlib
import json

from runtara_sdk.models import EventType, InstanceEvent

CANCEL_REQUESTED_SUBTYPE = "instance_cancel_requested"

_MAX_REASON_CHARACTERS = 4 * 1024


def cancel_requested_event(epoch: int, reason: bytes) -> InstanceEvent:
    """The event with the `reason` of a cancel; the same one again in the same launch is the same event."""
    text = reason.decode("utf-8", "replace")[:_MAX_REASON_CHARACTERS]
    payload = json.dumps({"reason": text}, ensure_ascii=False, separators=(",", ":")).encode()
    key = f"cancel:{epoch}:{hashlib.sha256(reason).hexdigest()}"
    return InstanceEvent(EventType.CUSTOM, payload, CANCEL_REQUESTED_SUBTYPE, event_key=key)
