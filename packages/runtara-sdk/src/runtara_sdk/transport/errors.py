"""Failures of calls, told apart by whether the server may have processed the request."""

from __future__ import annotations

from runtara_sdk.errors import TransportError


class ConnectionLostError(TransportError):
    """The connection was lost, or the server gave the call up, after the request was sent.

    The request may have been processed: repeat it only when it is idempotent. A plain `TransportError` means that the
    request was never processed.
    """

    code = "CONNECTION_LOST"
