"""OpenSSH's server on loopback, and what stands between it and a client."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from runtara_core.testing.ports import choose_port

START_SECONDS = 20.0

CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_ed25519
HostKey {directory}/host_rsa
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
AuthorizedKeysFile {directory}/authorized_keys
AllowTcpForwarding yes
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp {options}
LogLevel ERROR
"""


def program(name: str) -> str:
    """The path of a program of OpenSSH; skips the test where there is none."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install openssh-server openssh-client")
    return found


def make_key(path: Path, kind: str, *options: str) -> Path:
    """A key pair made by `ssh-keygen`."""
    command = [program("ssh-keygen"), "-q", "-t", kind, "-f", str(path), "-N", "", "-C", "test", *options]
    subprocess.run(command, check=True, timeout=60)
    return path


@dataclass
class SftpServer:
    """A running server.

    Attributes:
        directory: holds its keys.
        files: where tests put files.
        port: on 127.0.0.1.
        client_key: path of a private key that may log in.
    """

    directory: Path
    files: Path
    port: int
    client_key: Path
    process: subprocess.Popen[bytes]
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def username(self) -> str:
        """Who the server runs as."""
        return getpass.getuser()

    def host_key(self, kind: str = "ed25519") -> str:
        """The public host key, a line."""
        return (self.directory / f"host_{kind}.pub").read_text()

    def connection(self, **parameters: Any) -> dict[str, Any]:
        """The `_connection` of a call; None leaves a parameter out."""
        given = {
            "host": "127.0.0.1",
            "port": self.port,
            "username": self.username,
            "private_key": self.client_key.read_text(),
            "host_key": self.host_key(),
            "connect_timeout_ms": 10_000,
            "progress_timeout_ms": 10_000,
            **parameters,
        }
        kept = {name: value for name, value in given.items() if value is not None}
        return {"integration_id": "sftp", "parameters": kept}

    def authorize(self, public_key: str) -> None:
        """Let another key log in."""
        with (self.directory / "authorized_keys").open("a") as file:
            file.write(public_key.rstrip() + "\n")


@contextmanager
def running_server(directory: Path, *, options: str = "") -> Iterator[SftpServer]:
    """Start a server with keys of its own, and stop it; `options` are those of its SFTP part."""
    sshd = program("sshd")
    directory.mkdir(parents=True, exist_ok=True)
    files = directory / "files"
    files.mkdir()
    make_key(directory / "host_ed25519", "ed25519")
    make_key(directory / "host_rsa", "rsa", "-b", "2048")
    client_key = make_key(directory / "client", "ed25519")
    shutil.copy(directory / "client.pub", directory / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server separates its privileges
    port = choose_port(socket.SOCK_STREAM)
    configuration = directory / "sshd_config"
    configuration.write_text(CONFIGURATION.format(port=port, directory=directory, options=options))
    process = subprocess.Popen(
        [sshd, "-D", "-e", "-f", str(configuration)], stdout=subprocess.DEVNULL, stderr=(directory / "log").open("wb")
    )
    try:
        _until_it_answers(port, process, directory)
        yield SftpServer(directory, files, port, client_key, process)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _until_it_answers(port: int, process: subprocess.Popen[bytes], directory: Path) -> None:
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at:
        assert process.poll() is None, (directory / "log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.02)  # between two looks
    raise AssertionError("the server does not answer")


class Gate:
    """A TCP proxy that passes on so many bytes in each direction, and then falls silent or hangs up."""

    def __init__(self, port: int) -> None:
        self.target_port = port
        self.port = 0
        self.passes: int | None = None
        self.hangs_up = False
        self.passed = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Gate:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.ensure_future(self._pump(source, sink))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                self.passed += len(data)
                if self.passes is not None and self.passed > self.passes:
                    if self.hangs_up:
                        break
                    await asyncio.Event().wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()
