"""How fast the SFTP agent moves a large file, beside OpenSSH's `sftp`, to and from the same `sshd` on loopback.

    python benchmarks/sftp_transfer.py                   a file of 1000 MB, a table of megabytes a second and ratios
    python benchmarks/sftp_transfer.py --megabytes 100   a smaller file
    python benchmarks/sftp_transfer.py --json            the same as JSON

Both take turns, each transfer over a connection of its own, and the middle of the rounds is told. Time is from the call
of the agent to its result, or from the start of `sftp` to its end. The agent also makes the SHA-256 of what it
downloads, compares sizes, and has every file on the disk before it returns; `sftp` does none of that. The server needs
`sshd`, which is started with keys and a configuration of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ending import run_benchmark

MEGABYTES = 1000
ROUNDS = 3
START_SECONDS = 20.0
DIRECTIONS = ("download", "upload")


@dataclass(frozen=True)
class Server:
    """A running `sshd`."""

    port: int
    directory: Path

    @property
    def key(self) -> Path:
        """The private key that it takes."""
        return self.directory / "user"

    @property
    def host_key(self) -> str:
        """Its public host key."""
        return (self.directory / "host.pub").read_text()


@dataclass(frozen=True)
class Result:
    """Of one direction, megabytes (10^6 bytes) a second."""

    direction: str
    megabytes: int
    agent: float
    sftp: float

    @property
    def ratio(self) -> float:
        """Of the agent to `sftp`."""
        return self.agent / self.sftp


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{name} is not installed: apt-get install openssh-server openssh-client")
    return found


@contextmanager
def running_server(directory: Path) -> Iterator[Server]:
    for name in ("host", "user"):
        subprocess.run(
            [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True
        )
    shutil.copy(directory / "user.pub", directory / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {directory}/host",
        f"AuthorizedKeysFile {directory}/authorized_keys",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
        "Subsystem sftp internal-sftp",
    )
    (directory / "sshd_config").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [program("sshd"), "-D", "-e", "-f", str(directory / "sshd_config")], stderr=subprocess.DEVNULL
    )
    try:
        ends_at = time.monotonic() + START_SECONDS
        while time.monotonic() < ends_at:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                if connection.recv(4) == b"SSH-":
                    break
            time.sleep(0.02)
        else:
            raise SystemExit("sshd does not start")
        yield Server(port, directory)
    finally:
        process.terminate()
        process.wait()


def agent_seconds(server: Server, direction: str, remote: Path, workspace: Path, name: str) -> float:
    """Seconds of one call, in a process of its own."""
    connection = {
        "integration_id": "sftp",
        "parameters": {
            "host": "127.0.0.1",
            "port": server.port,
            "username": getpass.getuser(),
            "private_key": server.key.read_text(),
            "host_key": server.host_key,
        },
    }
    inputs = {"path": str(remote), "_connection": connection}
    inputs |= {"save_to": name} if direction == "download" else {"data": {"$file": name}}
    given = {"capability": f"sftp-{direction}-file", "inputs": inputs, "workspace": str(workspace)}
    done = subprocess.run(
        [sys.executable, __file__, "--client"], input=json.dumps(given), stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


async def one_call() -> None:
    from runtara_agents_sftp import sftp_agent
    from runtara_sdk.agents import CapabilityContext
    from runtara_sdk.agents.workspace import Workspace

    given = json.loads(sys.stdin.read())
    context = CapabilityContext(workspace=Workspace(Path(given["workspace"])))
    began = time.perf_counter()
    await sftp_agent.invoke(given["capability"], given["inputs"], context)
    print(time.perf_counter() - began)


def sftp_seconds(server: Server, direction: str, remote: Path, local: Path) -> float:
    """Seconds of one run of `sftp`."""
    known = server.directory / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key}")
    options = ("StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", f"Port={server.port}", "BatchMode=yes")
    command = [program("sftp"), "-q", "-b", "-", "-i", str(server.key)]
    command += [part for option in options for part in ("-o", option)] + [f"{getpass.getuser()}@127.0.0.1"]
    order = f"get {remote} {local}\n" if direction == "download" else f"put {local} {remote}\n"
    began = time.perf_counter()
    subprocess.run(command, input=order, stdout=subprocess.DEVNULL, text=True, check=True)
    return time.perf_counter() - began


def fill(path: Path, megabytes: int) -> None:
    """A file of random bytes."""
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))


def measured(megabytes: int, rounds: int) -> list[Result]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        root = Path(name)
        (root / "server").mkdir()
        (root / "workspace").mkdir()
        remote, local = root / "remote", root / "workspace" / "local"
        fill(remote, megabytes)
        shutil.copy(remote, local)
        results = []
        with running_server(root / "server") as server:
            for direction in DIRECTIONS:
                is_down = direction == "download"
                far, near = (remote, root / "workspace" / "got") if is_down else (root / "put", local)

                def cleared(call: Callable[[], float], target: Path) -> float:
                    target.unlink(missing_ok=True)
                    os.sync()  # what an earlier transfer left to be written is not charged to this one
                    return megabytes / call()

                target = near if is_down else far
                agent: list[float] = []
                sftp: list[float] = []
                for _ in range(rounds):
                    call = _agent_call(server, direction, far, near)
                    agent.append(cleared(call, target))
                    sftp.append(cleared(_sftp_call(server, direction, far, near), target))
                results.append(Result(direction, megabytes, statistics.median(agent), statistics.median(sftp)))
    return results


def _agent_call(server: Server, direction: str, far: Path, near: Path) -> Callable[[], float]:
    return lambda: agent_seconds(server, direction, far, near.parent, near.name)


def _sftp_call(server: Server, direction: str, far: Path, near: Path) -> Callable[[], float]:
    return lambda: sftp_seconds(server, direction, far, near)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=MEGABYTES, help="size of the file, 10^6 bytes")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="transfers of each, in turns")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.client:
        asyncio.run(one_call())
        return
    results = measured(chosen.megabytes, chosen.rounds)
    if chosen.json:
        print(json.dumps([asdict(result) | {"ratio": result.ratio} for result in results]))
        return
    print("| | agent MB/s | sftp MB/s | agent / sftp |")
    print("|---|---|---|---|")
    for result in results:
        print(f"| {result.direction} | {result.agent:.0f} | {result.sftp:.0f} | {result.ratio:.2f} |")


if __name__ == "__main__":
    run_benchmark(main)
