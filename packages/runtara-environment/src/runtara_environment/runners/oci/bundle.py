"""What a container is: the configuration that the runtime is given, and the directory of its root.

The program runs as a user of its own that owns nothing on the host, without capabilities and without a way to get any,
in namespaces of its own. Its root is empty but for the mounts; the only places that it can write to are the run
directory and two temporary file systems, which count as its memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtara_sdk.transport.local import guest_directory

from runtara_environment.runner import MEBIBYTE, NetworkMode
from runtara_environment.runners.oci.host_files import HostFiles
from runtara_environment.runners.oci.seccomp import seccomp_profile

OCI_VERSION = "1.0.2"
GUEST_ID = 1000
"""The user and the group of a program, as seen in its container."""
DEFAULT_MEMORY_BYTES = 512 * MEBIBYTE
DEFAULT_CPU_CORES = 0.5
DEFAULT_PROCESSES = 512
DEFAULT_TMP_BYTES = 64 * MEBIBYTE
INIT_PATH = Path("/run/runtara/container_init.py")

_CPU_PERIOD_USEC = 100_000
_SHARED_MEMORY_BYTES = 16 * MEBIBYTE
_DEVICE_BYTES = 64 * 1024
_CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_MASKED_PATHS = (
    *(
        f"/proc/{name}"
        for name in (
            "acpi",
            "asound",
            "interrupts",
            "kcore",
            "keys",
            "latency_stats",
            "sched_debug",
            "scsi",
            "timer_list",
            "timer_stats",
        )
    ),
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY_PATHS = (
    *(f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")),
    "/sys/fs/cgroup",  # of version 1, crun mounts what holds the trees for everybody to write to
)

_PASSWD = f"root:x:0:0:root:/:/bin/sh\nguest:x:{GUEST_ID}:{GUEST_ID}:guest:/:/bin/sh\n"
_GROUP = f"root:x:0:\nguest:x:{GUEST_ID}:\n"
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
_NAME_SERVICES = "passwd: files\ngroup: files\nhosts: files dns\n"
_SETTINGS = {"passwd": _PASSWD, "group": _GROUP, "hosts": _HOSTS, "nsswitch.conf": _NAME_SERVICES}


@dataclass(frozen=True, slots=True)
class Container:
    """One container.

    Attributes:
        directory: of the bundle, absolute; one container's alone.
        cgroup_path: member `linux.cgroupsPath`.
        host_user: the user of the host that the program runs as, and its group unless `host_group` is given.
        host_group: the group of the host that the program runs as.
        is_rootless: the runtime is not root. The program then is the runtime's own user, called root in the container
            and without any of its rights; and nothing is bounded, for there is no control group.
        hidden: directories of the host that look empty in the container.
        argv: process 1.
        run_directory: mounted writable, under its own path.
        host: what else is mounted, read-only.
        files: further files and sockets of the host, read-only, under their own paths.
        sockets: sockets of the host, by the directories that hold nothing else and outlive their servers.
        init: the file that is mounted as `INIT_PATH`.
        network: with `host` and `pasta` the container has the network of the process that makes it.
        settings: files below `/etc`, by name; those that every container has may be replaced.
        memory_bytes: bound of memory.
        cpu_cores: bound of processor time per wall-clock time.
        processes: bound of processes and threads.
        tmp_bytes: size of /tmp.
        limits_swap: whether the kernel can be told that swap is no further memory.
    """

    directory: Path
    cgroup_path: str
    host_user: int
    argv: tuple[str, ...]
    run_directory: Path
    host: HostFiles
    init: Path
    host_group: int | None = None
    is_rootless: bool = False
    hidden: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    sockets: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    network: NetworkMode = NetworkMode.NONE
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    cpu_cores: float = DEFAULT_CPU_CORES
    processes: int = DEFAULT_PROCESSES
    tmp_bytes: int = DEFAULT_TMP_BYTES
    limits_swap: bool = True
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/bin:/bin"})


def container_configuration(container: Container) -> dict[str, Any]:
    """The content of `config.json`. It holds nothing of the program's environment."""
    namespaces = ["pid", "mount", "ipc", "uts", "cgroup", "user"]
    if container.network is NetworkMode.NONE:
        namespaces.append("network")
    guest = 0 if container.is_rootless else GUEST_ID
    group = container.host_user if container.host_group is None else container.host_group
    configuration: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": False,
            "user": {"uid": guest, "gid": guest, "umask": 0o077},
            "args": list(container.argv),
            "env": [f"{name}={value}" for name, value in container.environment.items()],
            "cwd": "/",
            "capabilities": {name: [] for name in _CAPABILITY_SETS},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "runtara",
        "mounts": _mounts(container),
        "linux": {
            "namespaces": [{"type": name} for name in namespaces],
            "uidMappings": _identities(container.host_user, guest),
            "gidMappings": _identities(group, guest),
            "seccomp": seccomp_profile(),
            "maskedPaths": list(_MASKED_PATHS),
            "readonlyPaths": list(_READ_ONLY_PATHS),
            "rootfsPropagation": "private",
        },
    }
    if not container.is_rootless:
        configuration["linux"] |= {"cgroupsPath": container.cgroup_path, "resources": _resources(container)}
    return configuration


def _identities(host_id: int, guest: int) -> list[dict[str, int]]:
    identity = {"containerID": guest, "hostID": host_id, "size": 1}
    # Root of the container is root of the host for as long as the runtime prepares the mounts; nothing runs as it.
    return [identity] if guest == 0 else [{"containerID": 0, "hostID": 0, "size": 1}, identity]


def write_bundle(container: Container) -> None:
    """Make the directory of the bundle; raises FileExistsError when it is there already."""
    root = container.directory / "rootfs"
    settings = root / "etc"
    container.directory.mkdir(parents=True, mode=0o700)
    settings.mkdir(parents=True, mode=0o755)
    for path, target in container.host.links:
        _in_root(root, path).symlink_to(target)
    for name, content in {**_SETTINGS, **container.settings}.items():
        (settings / name).write_text(content, encoding="ascii")
        (settings / name).chmod(0o644)
    for directory in (root, settings):
        directory.chmod(0o755)  # whatever the daemon's umask is
    configuration = json.dumps(container_configuration(container), ensure_ascii=False)
    (container.directory / "config.json").write_text(configuration, encoding="utf-8")


def _resources(container: Container) -> dict[str, Any]:
    memory = {"limit": container.memory_bytes}
    if container.limits_swap:
        memory["swap"] = container.memory_bytes  # of memory and swap together
    return {
        "memory": memory,
        "cpu": {"quota": max(1_000, int(container.cpu_cores * _CPU_PERIOD_USEC)), "period": _CPU_PERIOD_USEC},
        "pids": {"limit": container.processes},
        "devices": [{"allow": False, "access": "rwm"}],
    }


def _mounts(container: Container) -> list[dict[str, Any]]:
    mounts = [
        _mount("/proc", "proc", "nosuid", "nodev", "noexec", "hidepid=2"),
        _mount("/dev", "tmpfs", "nosuid", "noexec", "strictatime", "mode=755", f"size={_DEVICE_BYTES}"),
        _mount("/dev/shm", "tmpfs", "nosuid", "nodev", "noexec", "mode=1777", f"size={_SHARED_MEMORY_BYTES}"),  # noqa: S108
        _mount("/tmp", "tmpfs", "nosuid", "nodev", "mode=1777", f"size={container.tmp_bytes}"),  # noqa: S108
        _bind(container.init, INIT_PATH, "ro", "noexec"),
        _bind(container.run_directory, container.run_directory, "rw"),
        *(_bind(path, path, "ro") for path in (*container.host.mounted, *container.files)),
        *(_bind(guest_directory(path), path.parent, "ro", "noexec") for path in container.sockets),
    ]
    if not container.is_rootless:
        mounts.append(_mount("/sys/fs/cgroup", "cgroup", "nosuid", "nodev", "noexec", "ro"))
    mounts.extend(
        _mount(str(path), "tmpfs", "nosuid", "nodev", "noexec", "ro", "mode=555", f"size={_DEVICE_BYTES}")
        for path in container.hidden
    )
    # What lies in another mount comes after it.
    return sorted(mounts, key=lambda mount: len(Path(mount["destination"]).parts))


def _mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _bind(source: Path, destination: Path, *options: str) -> dict[str, Any]:
    return {
        "destination": str(destination),
        "type": "bind",
        "source": str(source),
        "options": ["rbind", "rprivate", "nosuid", "nodev", *options],
    }


def _in_root(root: Path, path: Path) -> Path:
    inner = root / path.relative_to("/")
    inner.parent.mkdir(parents=True, exist_ok=True)
    return inner
