"""The files of local sockets: what is left, what is removed, and who may have put them there."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import socket
from pathlib import Path

import pytest
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport import ServerSettings
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.local import LocalClient, SocketInUseError, guest_directory, remove_stale, serve_local

from .conftest import SETTINGS, answering, echo, start_local

SOMEBODY = 12_345


async def test_the_lock_goes_even_when_the_socket_has_gone(socket_path: Path) -> None:
    """The event loop of Python 3.13 removes a listening socket itself."""
    server = await serve_local(answering(echo), SETTINGS, socket_path)
    socket_path.unlink()
    await server.close()
    assert list(socket_path.parent.iterdir()) == []


async def test_the_files_of_a_successor_stay(socket_path: Path) -> None:
    server = await serve_local(answering(echo), SETTINGS, socket_path)
    for path in (*socket_path.parent.iterdir(),):
        path.unlink()
    async with start_local(socket_path, answering(echo)) as (_, client):
        await server.close()
        assert await client.call(b"mine") == b"mine"
        with pytest.raises(SocketInUseError):
            await serve_local(answering(echo), SETTINGS, socket_path)


async def test_a_living_server_keeps_its_socket_without_the_lock_file(socket_path: Path) -> None:
    async with start_local(socket_path, answering(echo)) as (_, client):
        socket_path.with_name(f"{socket_path.name}.lock").unlink()
        with pytest.raises(SocketInUseError, match="another process does; stop it"):
            await serve_local(answering(echo), SETTINGS, socket_path)
        await client.close()
        assert await asyncio.to_thread(lambda: socket_path.is_socket())


async def test_a_server_waits_for_one_that_looks_for_stale_sockets(socket_path: Path) -> None:
    socket_path.parent.mkdir(mode=0o700)
    looking = os.open(socket_path.with_name(f"{socket_path.name}.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_EX)
    asyncio.get_running_loop().call_later(0.1, os.close, looking)
    async with start_local(socket_path, answering(echo)) as (_, client):
        assert await client.call(b"here") == b"here"


@pytest.mark.parametrize(("mode", "content"), [(0o755, "socket"), (0o700, "file")])
def test_what_is_not_a_socket_in_a_private_directory_stays(socket_path: Path, mode: int, content: str) -> None:
    socket_path.parent.mkdir(mode=mode)
    if content == "socket":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(socket_path))
    else:
        socket_path.write_text("precious")
    lock = socket_path.with_name(f"{socket_path.name}.lock")
    lock.write_text("precious")
    remove_stale(socket_path.parent, "lasting.sock")
    assert {path.name for path in socket_path.parent.iterdir()} == {socket_path.name, lock.name}


def test_no_lock_is_kept_of_what_cannot_be_removed(socket_path: Path) -> None:
    socket_path.mkdir(mode=0o700, parents=True)
    socket_path.parent.chmod(0o700)
    lock = socket_path.with_name(f"{socket_path.name}.lock")
    lock.touch()
    remove_stale(socket_path.parent, "lasting.sock")
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link that is somebody else's")
async def test_a_link_of_somebody_else_is_not_followed(socket_path: Path) -> None:
    own = socket_path.with_name("own")
    own.mkdir(mode=0o700, parents=True)
    link = socket_path.with_name("link")
    link.symlink_to(own)
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    with pytest.raises(ConfigurationError, match="must belong to user 0"):
        await serve_local(answering(echo), SETTINGS, link / "test.sock")
    stale = own / "stale.sock.lock"
    stale.touch()
    remove_stale(link, "lasting.sock")
    assert stale.exists()


async def test_a_bound_of_files_that_cannot_be_raised_is_lived_with(
    socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int, __: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    server = await serve_local(answering(echo), ServerSettings(), socket_path)
    await server.close()


async def test_the_directory_of_guests_has_the_socket_of_whoever_serves(socket_path: Path) -> None:
    """A container keeps the directory; servers come and go, also without a word."""
    shown = guest_directory(socket_path)
    first = await serve_local(answering(echo), SETTINGS, socket_path, for_guests=True)
    directory = os.open(shown, os.O_PATH | os.O_DIRECTORY)
    try:
        assert shown.stat().st_mode & 0o777 == 0o711
        await first.close()
        assert list(shown.iterdir()) == []
        # What a killed server leaves is replaced.
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(shown / socket_path.name))
            dead.close()
        second = await serve_local(answering(echo), SETTINGS, socket_path, for_guests=True)
        assert os.stat(socket_path.name, dir_fd=directory).st_ino == socket_path.stat().st_ino
        client = LocalClient(format_local_address(shown / socket_path.name))
        assert await client.call(b"guest") == b"guest"
        await client.close()
        await second.close()
    finally:
        os.close(directory)


@pytest.mark.parametrize("is_lasting", [True, False])
async def test_stale_directories_of_guests_go_unless_a_server_will_come_back(
    socket_path: Path, is_lasting: bool
) -> None:
    server = await serve_local(answering(echo), SETTINGS, socket_path, for_guests=True)
    await server.close()
    socket_path.with_name(f"{socket_path.name}.lock").touch()  # of one that was killed
    remove_stale(socket_path.parent, socket_path.name if is_lasting else "lasting.sock")
    assert guest_directory(socket_path).exists() is is_lasting
