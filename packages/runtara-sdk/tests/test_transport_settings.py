from __future__ import annotations

import pytest
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport import ServerSettings, parse_address
from runtara_sdk.transport.quic import select_library
from runtara_sdk.transport.quic.packet_header import parse_header


def read(**variables: str) -> ServerSettings:
    return ServerSettings.from_environment(EnvironmentReader(variables), host="127.0.0.1", port=8001)


def test_defaults() -> None:
    settings = read()
    assert settings == ServerSettings(host="127.0.0.1", port=8001)
    assert (settings.idle_timeout_ms, settings.keep_alive_ms) == (120_000, 15_000)
    assert (settings.max_bidirectional_streams, settings.max_pending_handshakes) == (1_000, 10_000)
    assert (settings.receive_buffer_bytes, settings.send_buffer_bytes) == (2_097_152, 2_097_152)


def test_every_variable_is_read() -> None:
    settings = read(
        RUNTARA_QUIC_IDLE_TIMEOUT_MS="1",
        RUNTARA_QUIC_KEEP_ALIVE_MS="2",
        RUNTARA_QUIC_MAX_BI_STREAMS="3",
        RUNTARA_QUIC_MAX_INCOMING="4",
        RUNTARA_QUIC_MAX_HANDLERS="5",
        RUNTARA_QUIC_REQUEST_DEADLINE_MS="6",
        RUNTARA_QUIC_UDP_RECV_BUFFER="7",
        RUNTARA_QUIC_UDP_SEND_BUFFER="8",
        RUNTARA_QUIC_MAX_CONNECTIONS="9",
        RUNTARA_QUIC_MAX_STREAMS="10",
        RUNTARA_QUIC_MAX_BUFFERED_BYTES="11",
        RUNTARA_QUIC_RETRY_ABOVE="12",
        RUNTARA_QUIC_HANDSHAKE_TIMEOUT_MS="13",
    )
    assert settings == ServerSettings(
        "127.0.0.1",
        8001,
        idle_timeout_ms=1,
        keep_alive_ms=2,
        max_bidirectional_streams=3,
        max_pending_handshakes=4,
        max_handlers=5,
        request_deadline_ms=6,
        receive_buffer_bytes=7,
        send_buffer_bytes=8,
        max_connections=9,
        max_streams=10,
        max_buffered_bytes=11,
        retry_above_handshakes=12,
        handshake_timeout_ms=13,
    )


@pytest.mark.parametrize("value", ["many", "1.5", "-1", "0"])
def test_an_unusable_value_is_named(value: str) -> None:
    with pytest.raises(ConfigurationError, match="RUNTARA_QUIC_MAX_BI_STREAMS"):
        read(RUNTARA_QUIC_MAX_BI_STREAMS=value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:8001", ("127.0.0.1", 8001)),
        ("core.example:1", ("core.example", 1)),
        ("[::1]:8001", ("::1", 8001)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert parse_address(address) == expected


@pytest.mark.parametrize(
    "address", ["", "localhost", ":8001", "::1:8001", "host:port", "host:0", "host:70000", "h:1:2"]
)
def test_unusable_addresses(address: str) -> None:
    with pytest.raises(ConfigurationError, match="host:port"):
        parse_address(address)


@pytest.mark.parametrize("name", ["aioquic", "qh3"])
def test_the_variable_chooses_the_library(name: str) -> None:
    pytest.importorskip(name)
    assert select_library(variables={"RUNTARA_QUIC_LIBRARY": name}).name == name
    assert select_library(name).name == name


def test_an_unknown_library_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"RUNTARA_QUIC_LIBRARY='quiche'.*aioquic, qh3, auto"):
        select_library(variables={"RUNTARA_QUIC_LIBRARY": "quiche"})


def test_headers_of_both_forms() -> None:
    initial = b"\xc3" + b"\x00\x00\x00\x01" + b"\x08destinat" + b"\x03src" + bytes(40)
    header = parse_header(initial)
    assert header is not None
    assert (header.version, header.destination_id, header.source_id) == (1, b"destinat", b"src")
    assert header.is_initial
    short = parse_header(b"\x41destinat" + bytes(20))
    assert short is not None
    assert (short.version, short.destination_id) == (None, b"destinat")


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xc3\x00\x00\x00\x01\x08", b"\xc3\x00\x00\x00\x01\xff" + bytes(300), b"\xc3" + bytes(8)]
)
def test_what_is_no_header_is_refused_or_harmless(data: bytes) -> None:
    header = parse_header(data)
    assert header is None or not header.destination_id
