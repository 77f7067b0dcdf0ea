"""Getting in: keys of all kinds, passwords, host keys, jump hosts; and connections that break or fall silent."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from runtara_agents_sftp import SftpAgent
from runtara_agents_sftp.keys import fingerprint
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext

from .conftest import Call, code_of
from .sftp_server import Gate, SftpServer, make_key, program, running_server

KEYS = {
    "rsa": ("rsa", "-b", "2048"),
    "rsa, old PEM": ("rsa", "-b", "2048", "-m", "PEM"),
    "rsa, PKCS8": ("rsa", "-b", "2048", "-m", "PKCS8"),
    "ecdsa 256": ("ecdsa", "-b", "256"),
    "ecdsa 384, old PEM": ("ecdsa", "-b", "384", "-m", "PEM"),
    "ecdsa 521, PKCS8": ("ecdsa", "-b", "521", "-m", "PKCS8"),
    "ed25519": ("ed25519",),
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_keys_of_all_kinds(
    name: str, encrypted: bool, tmp_path: Path, sftp_server: SftpServer, call: Call
) -> None:
    kind, *options = KEYS[name]
    key = make_key(tmp_path / "key", kind, *options)
    sftp_server.authorize((tmp_path / "key.pub").read_text())
    given: dict[str, Any] = {}
    if encrypted:
        form = options[options.index("-m") :][:2] if "-m" in options else []
        change = [program("ssh-keygen"), "-q", "-p", "-P", "", "-N", "a pass phrase", *form, "-f", str(key)]
        subprocess.run(change, check=True, timeout=60)
        wrong = {"private_key": key.read_text(), "passphrase": "another one"}
        assert await code_of(call, "sftp-get-info", path="/", parameters=wrong) == "SFTP_INVALID_CREDENTIALS"
        none = {"private_key": key.read_text()}
        assert await code_of(call, "sftp-get-info", path="/", parameters=none) == "SFTP_INVALID_CREDENTIALS"
        given["passphrase"] = "a pass phrase"
    assert (await call("sftp-get-info", path="/", parameters={"private_key": key.read_text(), **given}))["exists"]


async def test_keys_that_are_refused(tmp_path: Path, call: Call) -> None:
    stranger = make_key(tmp_path / "key", "ed25519").read_text()
    refused = {"private_key": stranger}
    assert await code_of(call, "sftp-get-info", path="/", parameters=refused) == "SFTP_AUTH_FAILED"
    for text in ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "no key"):
        code = await code_of(call, "sftp-get-info", path="/", parameters={"private_key": text})
        assert code == "SFTP_INVALID_CREDENTIALS"
    nothing = {"private_key": None}
    assert await code_of(call, "sftp-get-info", path="/", parameters=nothing) == "SFTP_NO_AUTH_METHOD"
    assert await code_of(call, "sftp-get-info", path="/", parameters={"host": ""}) == "SFTP_INVALID_CREDENTIALS"
    assert await code_of(call, "sftp-get-info", path="/", parameters={"port": "x"}) == "SFTP_INVALID_CREDENTIALS"


async def test_a_call_needs_a_connection(agent: AgentDefinition) -> None:
    with pytest.raises(AgentError, match="SFTP_NO_CONNECTION"):
        await agent.invoke("sftp-get-info", {"path": "/"})


# Host keys


async def test_host_keys(sftp_server: SftpServer, tmp_path: Path, call: Call) -> None:
    async def code(**parameters: Any) -> str | None:
        try:
            await call("sftp-get-info", path="/", parameters=parameters)
        except AgentError as error:
            return error.code
        return None

    other = make_key(tmp_path / "other", "ed25519")
    stranger = other.with_suffix(".pub").read_text()
    scanned = f"# comment\n[127.0.0.1]:{sftp_server.port} {sftp_server.host_key('rsa')}"
    prints = [
        fingerprint(paramiko.PKey.from_path(str(sftp_server.directory / f"host_{kind}"))) for kind in ("ed25519", "rsa")
    ]
    assert await code(host_key=None) == "SFTP_HOST_KEY_UNKNOWN"
    assert await code(host_key=stranger) == "SFTP_HOST_KEY_MISMATCH"
    assert await code(host_key=f"{stranger}\n{sftp_server.host_key()}") is None
    assert await code(host_key=scanned) is None
    for text in prints:
        assert await code(host_key=None, host_key_fingerprint=text) is None
        assert await code(host_key=None, host_key_fingerprint=text.removeprefix("SHA256:")) is None
    wrong = fingerprint(paramiko.PKey.from_path(str(other)))
    assert await code(host_key=None, host_key_fingerprint=wrong) == "SFTP_HOST_KEY_MISMATCH"
    assert await code(host_key=None, host_key_fingerprint="md5:00") == "SFTP_INVALID_CREDENTIALS"
    assert await code(host_key="nonsense") == "SFTP_INVALID_CREDENTIALS"
    assert await code(host_key=None, host_key_policy="ignore") is None


async def test_the_unknown_host_key_is_told(sftp_server: SftpServer, call: Call) -> None:
    with pytest.raises(AgentError) as caught:
        await call("sftp-get-info", path="/", parameters={"host_key": None})
    shown = caught.value.attributes["fingerprint"]
    listed = subprocess.run(
        [program("ssh-keygen"), "-l", "-f", str(sftp_server.directory / "host_ed25519.pub")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert shown in listed.split()


# Passwords: OpenSSH's server knows those of the system's users alone, so this one is the library's


class _Passwords(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == ("ada", "pass-word-1")
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Root(paramiko.SFTPServerInterface):
    def canonicalize(self, path: str) -> str:
        return "/"

    def lstat(self, path: str) -> paramiko.SFTPAttributes:
        attributes = paramiko.SFTPAttributes()
        attributes.st_mode = 0o40755
        return attributes

    stat = lstat


@pytest.fixture
def password_server() -> Iterator[tuple[int, str]]:
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Root)
            transport.start_server(server=_Passwords())
            transports.append(transport)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], f"{key.get_name()} {key.get_base64()}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for transport in transports:
        transport.close()
    thread.join(10)


async def test_passwords(password_server: tuple[int, str], call: Call) -> None:
    port, host_key = password_server
    given = {"port": port, "username": "ada", "private_key": None, "host_key": host_key}
    assert (await call("sftp-get-info", path="/", parameters={**given, "password": "pass-word-1"}))["is_directory"]
    with pytest.raises(AgentError) as caught:
        await call("sftp-get-info", path="/", parameters={**given, "password": "pass-word-2"})
    error = caught.value
    assert (error.code, error.attributes) == ("SFTP_AUTH_FAILED", {"username": "ada", "auth_method": "password"})
    assert "pass-word" not in str(error)


async def test_a_server_that_wants_a_key_and_a_password(
    password_server: tuple[int, str], sftp_server: SftpServer, call: Call
) -> None:
    port, host_key = password_server
    given = {"port": port, "username": "ada", "host_key": host_key}
    assert await code_of(call, "sftp-get-info", path="/", parameters=given) == "SFTP_AUTH_FAILED"
    assert (await call("sftp-get-info", path="/", parameters={**given, "password": "pass-word-1"}))["exists"]


# Jump hosts


async def test_a_jump_host(sftp_server: SftpServer, tmp_path: Path, call: Call) -> None:
    with running_server(tmp_path / "jump") as jump:
        through = jump.connection()["parameters"]
        assert (await call("sftp-get-info", path="/", parameters={"jump_host": through}))["exists"]
        unknown = {name: value for name, value in through.items() if name != "host_key"}
        code = await code_of(call, "sftp-get-info", path="/", parameters={"jump_host": unknown})
        assert code == "SFTP_HOST_KEY_UNKNOWN"
        nowhere = {"jump_host": through, "port": 1}
        assert await code_of(call, "sftp-get-info", path="/", parameters=nowhere) == "SFTP_CONNECTION_ERROR"


# Networks


async def test_a_server_that_is_not_there(call: Call) -> None:
    with pytest.raises(AgentError) as caught:
        await call("sftp-get-info", path="/", parameters={"port": 1})
    assert (caught.value.code, caught.value.retryable) == ("SFTP_CONNECTION_ERROR", True)
    names = {"host": "no-such-host.invalid"}
    assert await code_of(call, "sftp-get-info", path="/", parameters=names) == "SFTP_CONNECTION_ERROR"


async def test_a_server_that_speaks_something_else(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        parameters = {"port": silent.getsockname()[1], "connect_timeout_ms": 500}
        assert await code_of(call, "sftp-get-info", path="/", parameters=parameters) == "SFTP_HANDSHAKE_ERROR"


@pytest.mark.parametrize("hangs_up", [False, True], ids=["silent", "hung up"])
@pytest.mark.parametrize("direction", ["download", "upload"])
async def test_transfers_that_stop_in_the_middle(
    direction: str,
    hangs_up: bool,
    sftp_server: SftpServer,
    files: Path,
    call: Call,
    context: CapabilityContext,
) -> None:
    content = hashlib.sha256(direction.encode()).digest() * 500_000
    (files / "in").write_bytes(content)
    with context.require_workspace().create("out") as file:
        file.write(content)
        file.commit()
    async with Gate(sftp_server.port) as gate:
        gate.passes, gate.hangs_up = 3_000_000, hangs_up
        parameters = {"port": gate.port, "progress_timeout_ms": 700, "keepalive_s": 0}
        inputs: dict[str, Any] = {"path": f"{files}/in", "save_to": "in"}
        if direction == "upload":
            inputs = {"path": f"{files}/new", "data": {"$file": "out"}}
        with pytest.raises(AgentError) as caught:
            await call(f"sftp-{direction}-file", parameters=parameters, **inputs)
        assert caught.value.retryable
        assert caught.value.code in {"SFTP_TIMEOUT", "SFTP_CONNECTION_ERROR"}
        assert not (files / "new").exists()
        before = gate.passed
        gate.passes = None
        await call(f"sftp-{direction}-file", parameters=parameters, **inputs)
        if direction == "download":
            assert gate.passed - before < len(content), "the retry goes on where the first attempt stopped"
    if direction == "download":
        with context.require_workspace().open("in") as stream:
            assert stream.read() == content
    else:
        assert (files / "new").read_bytes() == content
        assert sorted(path.name for path in files.iterdir()) == ["in", "new"], "the half file is gone"


async def test_sessions_are_kept_and_replaced(sftp_server: SftpServer, files: Path, context: CapabilityContext) -> None:
    agent = AgentDefinition.of(SftpAgent())
    async with Gate(sftp_server.port) as gate:
        inputs = {"path": str(files), "_connection": sftp_server.connection(port=gate.port)}
        await agent.invoke("sftp-list-files", inputs, context)
        opened = len(gate._tasks)
        await agent.invoke("sftp-list-files", inputs, context)
        assert len(gate._tasks) == opened, "one connection for both"
        for task in list(gate._tasks):
            task.cancel()
        for _ in range(3):  # the broken session is noticed, at the latest by the first call that needs it
            try:
                await agent.invoke("sftp-list-files", inputs, context)
                break
            except AgentError as error:
                assert error.retryable
        await agent.invoke("sftp-list-files", inputs, context)
        await agent.close()
