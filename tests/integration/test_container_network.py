"""The network `pasta` of containers: what is reachable, what is not, and what becomes of it when processes die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.runner import LaunchError, NetworkMode
from runtara_environment.runners.oci.network_start import PASTA_IDENTITY_FILE, host_addresses
from runtara_environment.runners.oci.runner import OciRunner
from runtara_environment.runners.process_identity import ProcessIdentity
from runtara_environment.testing.runner_suite import until

from tests.container_programs import ATTEMPT, answer, assert_nothing_is_left, ended, python_program
from tests.containers import container_runtime as container_runtime

WAITS = "import time; open('ready', 'w').close()\nwhile True: time.sleep(60)"


@pytest.fixture(autouse=True)
def network(container_runtime: str) -> None:
    """Skips where there is no such network."""
    capability = asyncio.run(OciRunner().probe()).capabilities["network_pasta"]
    if not capability.available:
        pytest.skip(f"no network of pasta on this machine: {capability.reason}")


class EchoPort:
    """A UDP port of the host's loopback address that answers what it is sent."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            content, sender = self._socket.recvfrom(2_000)
            if not content:
                return
            self._socket.sendto(content.upper(), sender)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", ("127.0.0.1", self.number))


@pytest.fixture
def core_port() -> Iterator[EchoPort]:
    """Stands for core's port."""
    port = EchoPort()
    yield port
    port.close()


@pytest.fixture
def other_port() -> Iterator[EchoPort]:
    """Another service of the host."""
    port = EchoPort()
    yield port
    port.close()


REACH = """
import itertools
def reach(address, kind, device, source, seconds):
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(0.5 if device or kind == socket.SOCK_STREAM else seconds)
        if device: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        if source: s.bind((source, 0))
        s.connect(address)
        if kind == socket.SOCK_DGRAM:
            s.send(b"hello")
            assert s.recv(100) == b"HELLO"
def ways(name, host, port, seconds=0.5):
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    for (text, kind), device in itertools.product(kinds.items(), (b"", b"eth0")):
        if reached(lambda: reach((host, port), kind, device, "", seconds)): found.setdefault(name, []).append(text)
def reached(call):
    try: call()
    except OSError: return False
    return True
"""


async def test_of_the_host_only_cores_port_is_reachable(
    tmp_path: Path, core_port: EchoPort, other_port: EchoPort
) -> None:
    addresses = host_addresses()
    outside = [address for address in addresses if not address.startswith("127.")]
    assert outside, "the machine has no address to be reached by"
    with socket.create_server(("", 0)) as server:
        tcp_port = server.getsockname()[1]
        code = f"{REACH}\nways('core', '127.0.0.1', {core_port.number}, seconds=20)\n"
        for host in addresses:
            code += f"ways('other', {host!r}, {other_port.number})\nways('service', {host!r}, {tcp_port})\n"
        for metadata in ("169.254.169.254", "169.254.170.2", "100.100.100.200"):
            code += f"ways('metadata', {metadata!r}, 80)\n"
        found = await answer(
            tmp_path / "run",
            f"{code}\nfound['interfaces'] = sorted(name for _, name in socket.if_nameindex())",
            network=NetworkMode.PASTA,
            core_address=f"127.0.0.1:{core_port.number}",
        )
    assert found == {"core": ["udp"], "interfaces": ["eth0", "lo"]}


async def test_what_is_outside_is_reached_as_the_host_reaches_it(tmp_path: Path) -> None:
    """Something outside answers a connection, or refuses it, wherever it does so to the host."""
    outside = ("192.88.99.1", 9)
    code = (
        "with socket.socket() as s:\n"
        "    s.settimeout(3)\n"
        f"    found['result'] = s.connect_ex({outside!r})\n"
        "found['route'] = open('/proc/net/route').read().count('eth0\t00000000')\n"
        "found['resolvers'] = open('/etc/resolv.conf').read()"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTARA_PASTA_DNS", "192.88.99.53,192.88.99.54")
        found = await answer(tmp_path / "run", code, network=NetworkMode.PASTA)
    with socket.socket() as direct:
        direct.settimeout(3)
        expected = direct.connect_ex(outside)
    assert (found["result"] == 0) is (expected == 0)
    assert found["route"] == 1
    assert found["resolvers"] == "nameserver 192.88.99.53\nnameserver 192.88.99.54\n"


async def test_a_program_has_no_rights_over_its_network(tmp_path: Path) -> None:
    found = await answer(
        tmp_path / "run",
        f"{ATTEMPT}\nimport fcntl, struct\n"
        "def down():\n"
        "    with socket.socket() as s: fcntl.ioctl(s, 0x8914, struct.pack('16sH14x', b'eth0', 0))\n"
        "attempt('down', down)\n"
        "attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))\n"
        "attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))\n",
        network=NetworkMode.PASTA,
    )
    assert found == dict.fromkeys(("down", "raw", "packet"), "Operation not permitted")


async def test_core_at_another_address_of_this_host_is_refused(tmp_path: Path) -> None:
    address = next(address for address in host_addresses() if not address.startswith("127."))
    spec = python_program(tmp_path / "run", "", network=NetworkMode.PASTA, core_address=f"{address}:8001")
    with pytest.raises(LaunchError, match=r"set RUNTARA_CORE_ADDR to 127\.0\.0\.1:8001") as refused:
        await OciRunner().launch(spec)
    assert not refused.value.permanent
    assert str(OciRunner().core_obstacle(NetworkMode.PASTA, f"{address}:8001")) in refused.value.message
    assert OciRunner().core_obstacle(NetworkMode.HOST, f"{address}:8001") is None
    assert_nothing_is_left(OciRunner(), spec)


@pytest.mark.parametrize("victim", ["pasta", "child_pid", "pid"], ids=["pasta", "network", "shim"])
async def test_nothing_survives_a_killed_part(tmp_path: Path, victim: str) -> None:
    runner = OciRunner()
    spec = python_program(tmp_path / "run", WAITS, network=NetworkMode.PASTA)
    process = await runner.launch(spec)
    await until((tmp_path / "run" / "ready").exists, "program runs")
    pasta = pasta_of(runner.planned_state(spec))
    assert pasta.is_alive
    owner = json.loads((tmp_path / "run" / "launch-1" / "shim.json").read_text())
    os.kill(pasta.pid if victim == "pasta" else owner[victim], signal.SIGKILL)
    end = await ended(process)
    assert (end.started, end.exit_code) in ((True, None), (True, -signal.SIGKILL))
    assert not pasta.is_alive
    assert_nothing_is_left(runner, spec)


async def test_a_pasta_that_outlives_everything_is_found(tmp_path: Path) -> None:
    """By its file: one whose number belongs to another process by now is nobody's to kill."""
    runner = OciRunner()
    spec = python_program(tmp_path / "run", "")
    bundle = Path(runner.planned_state(spec)["bundle"])
    for shift, survives in ((0, False), (1, True)):
        left = await asyncio.create_subprocess_exec("sleep", "600")
        identity = ProcessIdentity.of_pid(left.pid)
        assert identity is not None
        bundle.mkdir(parents=True)
        content = {"pid": identity.pid, "start_time": identity.start_time + shift, "boot_id": identity.boot_id}
        (bundle / PASTA_IDENTITY_FILE).write_text(json.dumps(content))
        assert await runner.attach(runner.planned_state(spec)) is None
        assert not bundle.exists()
        assert (left.returncode is None and identity.is_alive) is survives
        if survives:
            left.kill()
        await left.wait()


async def test_a_pasta_that_cannot_work_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "programs" / "pasta"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'Failed to open tun socket' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    runner = OciRunner()
    spec = python_program(tmp_path / "run", "", network=NetworkMode.PASTA)
    end = await ended(await runner.launch(spec))
    assert (end.started, end.permanent) == (False, False)
    assert end.error is not None
    assert end.error.endswith("no network with pasta: pasta has ended: Failed to open tun socket")
    assert_nothing_is_left(runner, spec)


def pasta_of(state: dict[str, Any]) -> ProcessIdentity:
    data = json.loads((Path(state["bundle"]) / PASTA_IDENTITY_FILE).read_text())
    return ProcessIdentity(data["pid"], data["start_time"], data["boot_id"])
