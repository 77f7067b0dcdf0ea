"""What anybody can read of a QUIC packet: what all versions have in common (RFC 8999), and the first token."""

from __future__ import annotations

from dataclasses import dataclass

CONNECTION_ID_LENGTH = 8
_INITIAL_PACKET_BITS = 0x00
_LONG_HEADER = 0x80


@dataclass(frozen=True, slots=True)
class ReceivedHeader:
    """The invariant part of a QUIC packet."""

    version: int | None
    destination_id: bytes
    source_id: bytes
    is_initial: bool
    token: bytes = b""


def short_header_destination(data: bytes) -> bytes | None:
    """The destination id of a packet with a short header, as nearly all have; None for one with a long header."""
    return None if not data or data[0] & _LONG_HEADER else data[1 : 1 + CONNECTION_ID_LENGTH]


def parse_header(data: bytes) -> ReceivedHeader | None:
    """Read the invariant part (RFC 8999) of a datagram's first packet; None when it is not QUIC."""
    if len(data) < 1 + CONNECTION_ID_LENGTH:
        return None
    if not data[0] & _LONG_HEADER:
        return ReceivedHeader(None, data[1 : 1 + CONNECTION_ID_LENGTH], b"", is_initial=False)
    version = int.from_bytes(data[1:5], "big")
    destination_end = 6 + data[5]
    if data[5] > 20 or len(data) <= destination_end:
        return None
    source_end = destination_end + 1 + data[destination_end]
    if len(data) < source_end:
        return None
    is_initial = data[0] >> 4 & 0b11 == _INITIAL_PACKET_BITS
    return ReceivedHeader(
        version,
        data[6:destination_end],
        data[destination_end + 1 : source_end],
        is_initial=is_initial,
        token=_token(data, source_end) if is_initial else b"",
    )


def _token(data: bytes, position: int) -> bytes:
    """The token of an Initial packet: its length as a variable-length integer (RFC 9000, 16), then its bytes."""
    if position >= len(data):
        return b""
    length_bytes = 1 << (data[position] >> 6)
    start = position + length_bytes
    length = int.from_bytes(data[position:start], "big") & ((1 << (8 * length_bytes - 2)) - 1)
    return data[start : start + length] if start + length <= len(data) else b""
