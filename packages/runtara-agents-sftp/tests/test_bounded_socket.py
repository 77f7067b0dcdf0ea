import socket
import time
from contextlib import suppress

import pytest
from runtara_agents_sftp.bounded_socket import BoundedSocket


def _send_for(seconds: float, bounded: BoundedSocket) -> None:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        with suppress(TimeoutError):
            bounded.send(bytes(65536))


def test_a_peer_that_takes_nothing_is_given_up() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.02)
        bounded = BoundedSocket(near, 0.2)
        began = time.monotonic()
        with pytest.raises(ConnectionAbortedError):
            _send_for(10, bounded)
        assert 0.2 <= time.monotonic() - began < 5


def test_the_time_begins_anew_with_each_piece_that_is_taken() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.01)
        bounded = BoundedSocket(near, 0.2)
        ends_at = time.monotonic() + 0.6  # three times as long as nothing may be taken
        while time.monotonic() < ends_at:
            try:
                bounded.send(bytes(65536))
            except TimeoutError:
                far.recv(1 << 20)
        assert bounded.fileno() == near.fileno()
