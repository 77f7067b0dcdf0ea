"""Which failures of a call are a refusal, told in its answer, and which travel as an error."""

from __future__ import annotations

from runtara_sdk.errors import RuntaraError


def require_final(error: RuntaraError) -> None:
    """Let an error that may pass by itself go up: it travels as an error, which says so, and not as a refusal."""
    if error.retryable:
        raise error
