from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.transport.load import ConnectionLoad, ServerLoad, unbounded_load
from runtara_sdk.transport.quic.packet_header import parse_header
from runtara_sdk.transport.quic.retry import RetryTokens

ADDRESS = ("192.0.2.1", 4433)


@pytest.fixture
def server() -> ServerLoad:
    return ServerLoad(max_streams=10, max_buffered_bytes=100)


def test_within_the_bound_one_connection_may_hold_everything(server: ServerLoad) -> None:
    greedy, _ = ConnectionLoad(server), ConnectionLoad(server)
    assert all(greedy.open_stream() for _ in range(10))
    assert greedy.hold(100)


def test_over_the_bound_only_who_holds_less_than_its_share_gets_more(server: ServerLoad) -> None:
    greedy, modest = ConnectionLoad(server), ConnectionLoad(server)
    assert all(greedy.open_stream() for _ in range(10))
    assert not greedy.open_stream()
    assert [modest.open_stream() for _ in range(6)] == [True] * 5 + [False]
    assert greedy.hold(100)
    assert not greedy.hold(1)
    assert modest.hold(50)
    assert not modest.hold(1)


def test_the_total_stays_below_twice_the_bound_whoever_comes(server: ServerLoad) -> None:
    crowd = [ConnectionLoad(server) for _ in range(10)]
    while sum(each.open_stream() for each in crowd):
        pass
    assert server.streams <= 20
    held = dict.fromkeys(crowd, 0)
    for each in crowd:
        while each.hold(1):
            held[each] += 1
        each.release(1)
    assert server.buffered_bytes == sum(held.values()) <= 200


def test_what_is_let_go_is_counted_back(server: ServerLoad) -> None:
    load = ConnectionLoad(server)
    assert load.open_stream()
    assert load.hold(60)
    assert load.hold_unordered(30)
    assert load.hold_unordered(10)
    assert server.buffered_bytes == 70
    load.release(60)
    load.close_stream()
    load.end()
    assert (server.connections, server.streams, server.buffered_bytes) == (0, 0, 0)


def test_a_client_has_no_bound() -> None:
    load = unbounded_load()
    assert all(load.open_stream() for _ in range(1_000))
    assert load.hold(2**40)


class TestRetryTokens:
    def test_a_token_names_the_first_destination(self) -> None:
        tokens = RetryTokens()
        token = tokens.create(ADDRESS, b"original", b"retry-id")
        assert tokens.original_destination_id(token, ADDRESS, b"retry-id") == b"original"

    @pytest.mark.parametrize(
        ("address", "connection_id", "change"),
        [
            (("192.0.2.2", 4433), b"retry-id", 0),
            (("192.0.2.1", 4434), b"retry-id", 0),
            (ADDRESS, b"other-id", 0),
            (ADDRESS, b"retry-id", 1),
        ],
        ids=["other address", "other port", "other connection", "changed"],
    )
    def test_it_is_good_for_nobody_else(self, address: Any, connection_id: bytes, change: int) -> None:
        tokens = RetryTokens()
        token = bytearray(tokens.create(ADDRESS, b"original", b"retry-id"))
        token[-1] ^= change
        assert tokens.original_destination_id(bytes(token), address, connection_id) is None

    @pytest.mark.parametrize("token", [b"", b"\0", bytes(100)])
    def test_nonsense_is_refused(self, token: bytes) -> None:
        assert RetryTokens().original_destination_id(token, ADDRESS, b"retry-id") is None

    def test_it_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tokens = RetryTokens()
        monkeypatch.setattr("runtara_sdk.transport.quic.retry.time.monotonic", lambda: 1_000.0)
        token = tokens.create(ADDRESS, b"original", b"retry-id")
        monkeypatch.setattr("runtara_sdk.transport.quic.retry.time.monotonic", lambda: 1_031.0)
        assert tokens.original_destination_id(token, ADDRESS, b"retry-id") is None

    def test_it_is_read_off_the_packet(self) -> None:
        start = bytes([0xC0, 0, 0, 0, 1, 8]) + b"retry-id" + bytes([4]) + b"peer"
        for length in (b"\x05", b"\x40\x05"):
            header = parse_header(start + length + b"token" + bytes(20))
            assert header is not None
            assert header.token == b"token"
        for cut in (b"", b"\x05to", b"\xc0\x05"):
            header = parse_header(start + cut)
            assert header is not None
            assert header.token == b""
