"""Gives the runtime of a container a network of its own, translated by `pasta`, and watches over both.

Run as `python -I -S network_start.py SPECIFICATION` by the shim, in the place of the runtime, which becomes a child:

    shim -> this -> `runc run` -> container_init -> the program
                 -> `pasta`

A network namespace is made first, and `pasta` is told its path, so that it stays an ordinary process of the host. Then
routes are set which keep the program from the host and from link-local addresses, and only then the runtime starts, in
this namespace. `pasta` lives in the user namespace that owns the network and has no rights outside of it. When it dies,
the container is killed: its program is launched again behind the last checkpoint. When the runtime ends, `pasta` does.
What kills this process kills both.

As in the shim, only cheap modules are imported.
"""

# pathlib and contextlib cost more to import than everything here together:
# ruff: noqa: PTH104, PTH110, PTH123

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import _socket as socket
import ctypes
import marshal
import os
import struct
import sys
import time

TYPE_CHECKING = False  # typing itself costs too much to import
if TYPE_CHECKING:
    from typing import Any, NoReturn

PASTA_IDENTITY_FILE = "pasta.json"
_PASTA_PID_FILE = "pasta.pid"
_PASTA_LOG = "pasta.log"
_INTERFACE = "eth0"

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_READY_SECONDS = 10.0
_POLL_SECONDS = 0.002
_SIGNAL_BASE = 128
_BLOCKED_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
"""The group of this process gets the shim's signals: they are the runtime's business."""

_NETLINK_ROUTE = 0
_RTM_NEWROUTE = 24
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_NLMSG_ERROR = 2
_LOCAL_TABLE, _STATIC_ORIGIN, _HOST_SCOPE, _LOCAL_TYPE = 255, 4, 254, 2
_DESTINATION, _OUTPUT_INTERFACE, _PRIORITY = 1, 4, 6
_AFTER_THE_KERNELS_OWN = 1


class _Failure(Exception):  # noqa: N818 - told to people, and the process ends
    """Why there is no network."""


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise _Failure(f"cannot {what}: {os.strerror(ctypes.get_errno())}")


def _bind_to_parent(libc: ctypes.CDLL) -> None:
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _hold_namespaces(libc: ctypes.CDLL, ready: int, go: int) -> NoReturn:
    """Make a user namespace and a network namespace that belongs to it, and stay until both are in use."""
    try:
        _bind_to_parent(libc)
        libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        user, group = os.geteuid(), os.getegid()
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            os.write(ready, b"%d" % ctypes.get_errno())
        else:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")
            os.write(ready, b"0")
            os.read(go, 1)
    finally:
        os._exit(0)


def identity_text(pid: int) -> str:
    """Who a process is, as JSON: its number, when it started, and in which life of the kernel."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        start_time = int(file.read().rpartition(b")")[2].split()[19])
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        boot_id = file.read().decode("ascii").strip()
    return f'{{"pid": {pid}, "start_time": {start_time}, "boot_id": "{boot_id}"}}'


def _become_pasta(libc: ctypes.CDLL, specification: dict[str, Any], holder: int) -> NoReturn:
    directory = specification["directory"]
    try:
        _bind_to_parent(libc)
        # Before anything runs that others would have to find: whoever cleans up kills by this file.
        _write(f"{directory}/{PASTA_IDENTITY_FILE}.tmp", identity_text(os.getpid()))
        os.rename(f"{directory}/{PASTA_IDENTITY_FILE}.tmp", f"{directory}/{PASTA_IDENTITY_FILE}")
        log = os.open(f"{directory}/{_PASTA_LOG}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # pasta gives up when it is ignored
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        port = specification["udp_port"]
        argv = [
            specification["pasta"],
            *("--foreground", "--ipv4-only", "--runas", f"{os.geteuid()}:{os.getegid()}"),
            *("--config-net", "--ns-ifname", _INTERFACE, "--no-map-gw", "--no-netns-quit"),
            *("--no-dhcp", "--no-dhcpv6", "--no-ndp", "--no-ra"),
            *("--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none"),
            *("--udp-ns", "none" if port is None else str(port)),
            *("--pid", f"{directory}/{_PASTA_PID_FILE}"),
            *("--userns", f"/proc/{holder}/ns/user", "--netns", f"/proc/{holder}/ns/net"),
        ]
        os.execve(argv[0], argv, dict(os.environ))  # noqa: S606 - the very purpose
    except OSError as error:
        os.write(2, f"cannot execute {specification['pasta']}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _last_words(directory: str) -> str:
    try:
        with open(f"{directory}/{_PASTA_LOG}", "rb") as file:
            lines = file.read(65_536).decode("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    spoken = [line for line in lines if line.strip() and "to syslog" not in line]
    return spoken[-1].strip() if spoken else "it says nothing"


def _make_network(libc: ctypes.CDLL, specification: dict[str, Any]) -> int:
    """Enter a network namespace that pasta serves; returns the process id of pasta."""
    directory = specification["directory"]
    ready, tell_ready = os.pipe()
    go, tell_go = os.pipe()
    holder = os.fork()
    if holder == 0:
        os.close(tell_go)
        _hold_namespaces(libc, tell_ready, go)
    for descriptor in (tell_ready, go):
        os.close(descriptor)
    answer = os.read(ready, 8)
    os.close(ready)
    if answer != b"0":
        reason = os.strerror(int(answer)) if answer else "its maker died"
        raise _Failure(f"cannot make a network namespace: {reason}")
    pasta = os.fork()
    if pasta == 0:
        os.close(tell_go)
        _become_pasta(libc, specification, holder)
    give_up = time.monotonic() + _READY_SECONDS
    while not os.path.exists(f"{directory}/{_PASTA_PID_FILE}"):
        if os.waitpid(pasta, os.WNOHANG)[0]:
            raise _Failure(f"pasta has ended: {_last_words(directory)}")
        if time.monotonic() > give_up:
            raise _Failure(f"pasta makes no network within {_READY_SECONDS:g} s: {_last_words(directory)}")
        time.sleep(_POLL_SECONDS)
    for kind in specification["enter"]:
        namespace = os.open(f"/proc/{holder}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        _checked(libc.setns(namespace, 0), "enter the network namespace")
        os.close(namespace)
    os.close(tell_go)
    os.waitpid(holder, 0)
    return pasta


def host_addresses() -> list[str]:
    """The IPv4 addresses of the network namespace of this process."""
    addresses = []
    with open("/proc/net/fib_trie", encoding="ascii") as file:
        address = ""
        for line in file:
            if "|-- " in line:
                address = line.rpartition("|-- ")[2].strip()
            elif "/32 host LOCAL" in line and address not in addresses:
                addresses.append(address)
    return addresses


def _keep_inside(networks: list[str]) -> None:
    """Deliver what is sent to these networks in the namespace itself, where nobody listens.

    The routes are routes of the interface that leads outside: a program may tie a socket to an interface, and then only
    routes of this interface count; where there is none, or one that refuses, the packet would leave.
    """
    index = socket.if_nametoindex(_INTERFACE)
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    for network in networks:
        address, _, length = network.partition("/")
        body = struct.pack(
            "=8BI", socket.AF_INET, int(length), 0, 0, _LOCAL_TABLE, _STATIC_ORIGIN, _HOST_SCOPE, _LOCAL_TYPE, 0
        )
        for kind, value in (
            (_DESTINATION, socket.inet_aton(address)),
            (_OUTPUT_INTERFACE, struct.pack("=I", index)),
            (_PRIORITY, struct.pack("=I", _AFTER_THE_KERNELS_OWN)),
        ):
            body += struct.pack("=HH", 4 + len(value), kind) + value
        flags = _REQUEST | _ACK | _CREATE | _APPEND
        channel.send(struct.pack("=IHHII", 16 + len(body), _RTM_NEWROUTE, flags, 1, 0) + body)
        answer = channel.recv(4_096)
        (kind,) = struct.unpack_from("=H", answer, 4)
        (number,) = struct.unpack_from("=i", answer, 16)
        if kind != _NLMSG_ERROR or number != 0:
            raise _Failure(f"cannot keep the program from {network}: {os.strerror(-number)}")
    channel.close()


def _become_runtime(libc: ctypes.CDLL, specification: dict[str, Any]) -> NoReturn:
    try:
        _bind_to_parent(libc)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        argv = specification["command"]
        os.execve(argv[0], argv, dict(os.environ))  # noqa: S606 - the very purpose
    except OSError as error:
        os.write(2, f"cannot execute {specification['command'][0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _watch(runtime: int, pasta: int) -> int:
    """Wait for the end of the runtime, and see to it that pasta does not end before it; returns its wait status."""
    has_network = True
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == runtime:
            if has_network:
                os.kill(pasta, signal.SIGKILL)
                os.waitpid(pasta, 0)
            return status
        if pid == pasta:
            has_network = False
            os.kill(runtime, signal.SIGKILL)


def main() -> NoReturn:
    """Entry point; the exit code is that of the runtime, or 1 when there is no network, with the reason in its log."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED_SIGNALS)
    libc = ctypes.CDLL(None, use_errno=True)
    with open(sys.argv[1], "rb") as file:
        specification: dict[str, Any] = marshal.loads(file.read())  # noqa: S302 - written by our own daemon for us alone
    try:
        # Loopback addresses are among the networks; a route to 127.0.0.1 alone would come before core's port there.
        outer = [f"{address}/32" for address in host_addresses() if not address.startswith("127.")]
        inside = [*specification["unreachable"], *outer]
        pasta = _make_network(libc, specification)
        _keep_inside(inside)
    except (_Failure, OSError) as error:
        # What was started dies with this process.
        with open(specification["log"], "a", encoding="utf-8") as log:
            log.write(f"no network with pasta: {error}\n")
        os._exit(1)
    runtime = os.fork()
    if runtime == 0:
        _become_runtime(libc, specification)
    status = os.waitstatus_to_exitcode(_watch(runtime, pasta))
    os._exit(status if status >= 0 else _SIGNAL_BASE - status)


if __name__ == "__main__":
    main()
