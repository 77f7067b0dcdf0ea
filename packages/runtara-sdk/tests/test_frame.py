from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_sdk.errors import ProtocolError
from runtara_sdk.protocol.frame import (
    HEADER_SIZE,
    MAX_PAYLOAD_SIZE,
    Frame,
    FrameDecoder,
    FrameType,
    encode_frame,
)

frames = st.builds(Frame, st.sampled_from(FrameType), st.binary(max_size=300))


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def decode_all(decoder: FrameDecoder) -> list[Frame]:
    return list(iter(decoder.next_frame, None))


def test_the_layout_is_length_type_payload() -> None:
    assert encode_frame(FrameType.RESPONSE, b"abc") == b"\x00\x00\x00\x03\x00\x02abc"


def test_the_type_numbers_are_those_of_the_protocol() -> None:
    assert {frame_type.name: int(frame_type) for frame_type in FrameType} == {
        "REQUEST": 1,
        "RESPONSE": 2,
        "STREAM_START": 3,
        "STREAM_DATA": 4,
        "STREAM_END": 5,
        "ERROR": 6,
    }


@given(st.lists(frames, max_size=6), st.lists(st.integers(min_value=0), max_size=12))
def test_frames_survive_any_fragmentation(sent: list[Frame], positions: list[int]) -> None:
    data = b"".join(encode_frame(frame.frame_type, frame.payload) for frame in sent)
    decoder = FrameDecoder()
    received: list[Frame] = []
    for piece in cut(data, positions):
        decoder.feed(piece)
        received += decode_all(decoder)
    decoder.finish()
    assert received == sent
    assert decoder.buffered_bytes == 0


@given(frames, st.binary(max_size=100))
def test_what_follows_a_frame_is_left_as_it_is(frame: Frame, rest: bytes) -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(frame.frame_type, frame.payload) + rest)
    assert decoder.next_frame() == frame
    assert decoder.take() == rest


@given(frames, st.integers(min_value=1))
def test_an_end_inside_a_frame_is_an_error(frame: Frame, missing: int) -> None:
    data = encode_frame(frame.frame_type, frame.payload)
    data = data[: -1 - missing % (len(data) - 1)]
    decoder = FrameDecoder()
    decoder.feed(data)
    assert decoder.next_frame() is None
    with pytest.raises(ProtocolError, match="inside a frame"):
        decoder.finish()


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_but_a_protocol_error(data: bytes) -> None:
    decoder = FrameDecoder()
    decoder.feed(data)
    try:
        decode_all(decoder)
        decoder.finish()
    except ProtocolError:
        pass


@pytest.mark.parametrize("type_number", [0, 7, 0xFFFF])
def test_an_unknown_type_is_refused(type_number: int) -> None:
    decoder = FrameDecoder()
    decoder.feed((0).to_bytes(4, "big") + type_number.to_bytes(2, "big"))
    with pytest.raises(ProtocolError, match="unknown type"):
        decoder.next_frame()


def test_an_oversize_length_is_refused_by_its_header_alone() -> None:
    decoder = FrameDecoder()
    decoder.feed((MAX_PAYLOAD_SIZE + 1).to_bytes(4, "big") + b"\x00\x01")
    with pytest.raises(ProtocolError, match="at most"):
        decoder.next_frame()


def test_an_oversize_payload_is_not_encoded() -> None:
    with pytest.raises(ProtocolError, match="send less"):
        encode_frame(FrameType.REQUEST, bytes(MAX_PAYLOAD_SIZE + 1))


def test_the_largest_payload_passes() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(FrameType.REQUEST, bytes(MAX_PAYLOAD_SIZE)))
    assert decoder.buffered_bytes == HEADER_SIZE + MAX_PAYLOAD_SIZE
    frame = decoder.next_frame()
    assert frame is not None
    assert len(frame.payload) == MAX_PAYLOAD_SIZE
