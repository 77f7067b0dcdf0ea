"""The network `pasta`: a namespace of its own for each container, with user-mode translation.

Of the host a program reaches core's port alone, at 127.0.0.1. Its own addresses, its other loopback services, and the
addresses where clouds serve credentials are out of reach. Everything else is reached as the host reaches it, by IPv4.
`network_start` makes such a network; here is what it is told, what can be said before, and what cleans up after it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import marshal
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport.address import is_local, parse_address

from runtara_environment.runners.oci import network_start
from runtara_environment.runners.oci.runtime import runtime_environment
from runtara_environment.runners.process_identity import ProcessHandle, ProcessIdentity

DNS_VARIABLE = "RUNTARA_PASTA_DNS"
UNREACHABLE = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "240.0.0.0/4",
)
"""Loopback, link-local addresses, and others where clouds serve credentials; beside the host's own addresses."""

_SPECIFICATION_FILE = "network.bin"
_RESOLVERS = Path("/etc/resolv.conf")
_MOST_RESOLVERS = 3  # a C library looks at no more
_TRIAL_SECONDS = 20.0
_KILL_SECONDS = 5.0
_PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class PastaSettings:
    """Variables of the network.

    Attributes:
        resolvers: the name servers of containers (RUNTARA_PASTA_DNS); empty stands for those of the host that
            containers can reach.
    """

    resolvers: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text: str | None) -> PastaSettings:
        """Read the variable; raises `ConfigurationError` naming what is wrong."""
        resolvers = []
        for part in filter(None, map(str.strip, (text or "").split(","))):
            try:
                address = str(ipaddress.IPv4Address(part))
            except ValueError:
                raise ConfigurationError(
                    f"{DNS_VARIABLE}: {part!r} is no IPv4 address: list the addresses of name servers with commas"
                ) from None
            if is_unreachable(address):
                raise ConfigurationError(
                    f"{DNS_VARIABLE}: containers cannot reach {address}, which is an address of this host, of loopback "
                    "or link-local: name a server outside"
                )
            resolvers.append(address)
        if len(resolvers) > _MOST_RESOLVERS:
            raise ConfigurationError(f"{DNS_VARIABLE} lists {len(resolvers)} servers; {_MOST_RESOLVERS} can be used")
        return cls(tuple(resolvers))

    def files(self) -> dict[str, str]:
        """Files below `/etc` of a container, by name."""
        servers = self.resolvers or _host_resolvers()
        return {
            "hosts": "127.0.0.1 localhost\n",
            "resolv.conf": "".join(f"nameserver {server}\n" for server in servers),
        }


def is_unreachable(address: str) -> bool:
    """Whether containers are kept from an IPv4 address."""
    if address in network_start.host_addresses():
        return True
    return any(ipaddress.IPv4Address(address) in ipaddress.IPv4Network(network) for network in UNREACHABLE)


def forwarded_port(core_address: str | None) -> int | None:
    """The UDP port of the host's loopback address that a program needs; None when core is reached otherwise.

    Raises `ConfigurationError` when a container could not reach core at the address.
    """
    if core_address is None or is_local(core_address):
        return None
    host, port = parse_address(core_address)
    if host in ("127.0.0.1", "localhost"):
        return port
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None  # a name, which the container resolves
    if address.version == 4 and not is_unreachable(host):
        return None
    reason = "they have no IPv6" if address.version == 6 else "of this host they reach 127.0.0.1 alone"
    raise ConfigurationError(
        f"programs in a network of pasta cannot reach core at {core_address}, for {reason}: set RUNTARA_CORE_ADDR to "
        f"127.0.0.1:{port}, or give environment and core the same DATA_DIR, where they have a socket"
    )


def find_pasta() -> tuple[str | None, str]:
    """The program, or None and why there is none."""
    path = shutil.which("pasta")
    return path, "" if path else "there is no program pasta: install passt"


def command_in_network(
    pasta: str, directory: Path, log: Path, command: Sequence[str], udp_port: int | None
) -> tuple[str, ...]:
    """What to execute so that `command` runs in a network of its own.

    Args:
        pasta: its program.
        directory: for files of the network; whoever removes it calls `kill_left_pasta` before.
        log: gets a line when there is no network.
        command: the absolute path of a program, and its arguments.
        udp_port: see `forwarded_port`.
    """
    specification = {
        "pasta": pasta,
        "directory": str(directory),
        "log": str(log),
        "command": list(command),
        "udp_port": udp_port,
        "unreachable": list(UNREACHABLE),
        # Whoever is not root has rights over the network only inside of the user namespace that owns it.
        "enter": ["net"] if os.geteuid() == 0 else ["user", "net"],
    }
    path = directory / _SPECIFICATION_FILE
    path.write_bytes(marshal.dumps(specification))
    return (sys.executable, "-I", "-S", str(network_start.__file__), str(path))


def try_pasta() -> str:
    """Make a network and end it; why that does not work, or an empty text. Blocks: call it in a thread."""
    pasta, reason = find_pasta()
    if pasta is None:
        return reason
    with tempfile.TemporaryDirectory(prefix="runtara-probe-") as name:
        directory = Path(name)
        log = directory / "log"
        command = command_in_network(pasta, directory, log, (sys.executable, "-I", "-S", "-c", "pass"), None)
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TRIAL_SECONDS,
                check=False,
                env=runtime_environment(),
            )
        except subprocess.TimeoutExpired:
            return f"pasta makes no network within {_TRIAL_SECONDS:g} s"
        except OSError as error:
            return str(error)
        finally:
            kill_left_pasta(directory)
        if done.returncode == 0:
            return ""
        said = (
            log.read_text(encoding="utf-8", errors="replace") if log.exists() else done.stderr.decode(errors="replace")
        )
        return said.strip().rpartition("\n")[2] or f"a program in such a network ended with {done.returncode}"


def kill_left_pasta(directory: Path) -> bool:
    """Kill the pasta of a network whose other processes have ended; whether it is gone. Blocks.

    The file names process, start time and boot: the process is never a stranger that has got its number.
    """
    try:
        data = json.loads((directory / network_start.PASTA_IDENTITY_FILE).read_bytes())
        identity = ProcessIdentity(int(data["pid"]), int(data["start_time"]), str(data["boot_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return True
    handle = ProcessHandle.open(identity)
    if handle is None:
        return True
    with contextlib.closing(handle):
        handle.send(signal.SIGKILL)
        give_up = time.monotonic() + _KILL_SECONDS
        while identity.is_alive:
            if time.monotonic() >= give_up:
                return False
            time.sleep(_PAUSE_SECONDS)
    return True


def _host_resolvers() -> tuple[str, ...]:
    """The name servers of the host that containers can reach."""
    servers = []
    with contextlib.suppress(OSError):
        for line in _RESOLVERS.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            with contextlib.suppress(ValueError):
                if (
                    len(words) > 1
                    and words[0] == "nameserver"
                    and not is_unreachable(str(ipaddress.IPv4Address(words[1])))
                ):
                    servers.append(words[1])
    return tuple(servers[:_MOST_RESOLVERS])
