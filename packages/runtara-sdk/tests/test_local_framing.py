"""Messages of the local transport: whatever the pieces, the same messages; whatever the garbage, an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_sdk.errors import ProtocolError
from runtara_sdk.transport.local.framing import (
    MAX_CONTENT_BYTES,
    PREFACE,
    Message,
    MessageDecoder,
    MessageKind,
    encode_code,
    encode_data,
    encode_window,
)

CALLS = st.integers(0, 2**64 - 1)
ENCODED = st.one_of(
    st.builds(
        lambda call, data, last: (Message(call, MessageKind(last), data), encode_data(call, data, last=last)),
        CALLS,
        st.binary(max_size=300),
        st.booleans(),
    ),
    st.builds(
        lambda call, kind, code: (Message(call, kind, code.to_bytes(4, "big")), encode_code(call, kind, code)),
        CALLS,
        st.sampled_from([MessageKind.RESET, MessageKind.STOP]),
        st.integers(0, 2**32 - 1),
    ),
    st.builds(
        lambda call, at: (Message(call, MessageKind.WINDOW, at.to_bytes(8, "big")), encode_window(call, at)),
        CALLS,
        st.integers(0, 2**64 - 1),
    ),
)


@given(st.lists(ENCODED, max_size=20), st.lists(st.integers(1, 40), min_size=1))
def test_messages_arrive_whole_in_pieces_of_any_size(encoded: list[tuple[Message, bytes]], sizes: list[int]) -> None:
    data = PREFACE + b"".join(content for _, content in encoded)
    decoder, found, offset, turn = MessageDecoder(), [], 0, 0
    while offset < len(data):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(data[offset : offset + size])
        offset, turn = offset + size, turn + 1
    assert found == [message for message, _ in encoded]


@given(st.binary(min_size=1, max_size=200))
def test_garbage_after_the_preface_gives_messages_or_an_error(garbage: bytes) -> None:
    decoder = MessageDecoder()
    assert decoder.feed(PREFACE) == []
    try:
        messages = decoder.feed(garbage)
    except ProtocolError:
        return
    assert sum(len(message.content) for message in messages) < len(garbage)


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"runtara-local/2\n", b"\0"])
def test_another_protocol_is_named(first: bytes) -> None:
    with pytest.raises(ProtocolError, match="does not speak the local protocol"):
        MessageDecoder().feed(first)


def test_bounds_are_kept() -> None:
    decoder = MessageDecoder()
    decoder.feed(PREFACE)
    largest = encode_data(1, bytes(MAX_CONTENT_BYTES), last=True)
    assert [len(message.content) for message in decoder.feed(largest)] == [MAX_CONTENT_BYTES]
    with pytest.raises(ProtocolError, match=f"announces {MAX_CONTENT_BYTES + 1} bytes"):
        decoder.feed(encode_data(1, bytes(MAX_CONTENT_BYTES + 1), last=True)[:20])


def test_a_code_has_four_bytes() -> None:
    decoder = MessageDecoder()
    decoder.feed(PREFACE)
    with pytest.raises(ProtocolError, match="RESET announces 5 bytes"):
        decoder.feed((5).to_bytes(4, "big") + bytes(8) + bytes([MessageKind.RESET]) + bytes(5))
