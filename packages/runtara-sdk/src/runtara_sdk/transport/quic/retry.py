"""Address validation (RFC 9000, 8.1.2): while many handshakes are pending, a client must first show that it receives.

The server answers the first packet with a token and keeps nothing; who forged its sender's address never sees it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from typing import Any

_LIFETIME_SECONDS = 30
_DIGEST_BYTES = 16
_TIME_BYTES = 8


class RetryTokens:
    """Makes and checks the tokens of one server; they do not outlive it.

    A token names the time and the destination id of the client's very first packet, and is good for one address and
    for the connection id that came with it.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def create(self, address: Any, original_destination_id: bytes, retry_source_id: bytes) -> bytes:
        """A token for the client at `address`."""
        stated = int(time.monotonic()).to_bytes(_TIME_BYTES, "big") + original_destination_id
        return self._digest(address, stated, retry_source_id) + stated

    def original_destination_id(self, token: bytes, address: Any, destination_id: bytes) -> bytes | None:
        """What the token names; None when it is not one of this server for this client, or is too old."""
        digest, stated = token[:_DIGEST_BYTES], token[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._digest(address, stated, destination_id)):
            return None
        age = time.monotonic() - int.from_bytes(stated[:_TIME_BYTES], "big")
        return stated[_TIME_BYTES:] if age <= _LIFETIME_SECONDS else None

    def _digest(self, address: Any, stated: bytes, connection_id: bytes) -> bytes:
        where = f"{address[0]} {address[1]} ".encode()
        message = b"".join(
            (len(where).to_bytes(2, "big"), where, len(stated).to_bytes(2, "big"), stated, connection_id)
        )
        return hmac.digest(self._key, message, hashlib.sha256)[:_DIGEST_BYTES]
