"""What a launch writes for the runtime and for process 1 of the container, and the command that reads it."""

from __future__ import annotations

import marshal
import os
import resource
import sys
from pathlib import Path
from typing import Any

from runtara_core.guest_users import GuestUser
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport.local import guest_directory

from runtara_environment.runner import LaunchError, LaunchSpec, NetworkMode
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.runners.oci import container_init
from runtara_environment.runners.oci.bundle import (
    DEFAULT_CPU_CORES,
    DEFAULT_MEMORY_BYTES,
    DEFAULT_PROCESSES,
    DEFAULT_TMP_BYTES,
    INIT_PATH,
    Container,
    write_bundle,
)
from runtara_environment.runners.oci.cgroup import CgroupHierarchy
from runtara_environment.runners.oci.container_process import EXCHANGE_FILE, RUNTIME_LOG, ContainerPlace
from runtara_environment.runners.oci.host_files import host_files, without_nested
from runtara_environment.runners.oci.pasta import command_in_network, find_pasta, forwarded_port
from runtara_environment.runners.oci.settings import OciSettings
from runtara_environment.runners.run_directory_access import admit, remove_foreign

DEFAULT_OPEN_FILES = 4_096

# The shell opens descriptor 3 and then becomes the runtime, which makes directories that the program has to pass.
_WITH_EXCHANGE = ("/bin/sh", "-c", 'umask 022; exec "$@" 3<> "$0"')


def prepare_launch(spec: LaunchSpec, place: ContainerPlace, directory: LaunchDirectory, user: GuestUser | None) -> None:
    """Write everything that the runtime and process 1 of the container read."""
    settings = OciSettings.from_environment()
    hierarchy = CgroupHierarchy(use_systemd=place.runtime.use_systemd)
    is_rootless = user is None
    host = host_files(with_network=spec.network is NetworkMode.HOST)
    exposed = [path for path in host.mounted if spec.run_directory.is_relative_to(path)]
    if exposed:
        raise OSError(f"{exposed[0]} is part of every container and holds the run directory {spec.run_directory}, too")
    sockets = tuple(path for path in spec.files if guest_directory(path).is_dir())
    shown = (path for path in (Path(spec.argv[0]), *spec.files) if path not in sockets and path.exists())
    wanted = (*host.mounted, *shown)
    files = [path for path in without_nested(wanted) if path not in host.mounted]
    limits = spec.limits
    write_bundle(
        Container(
            directory=place.bundle,
            cgroup_path=hierarchy.container_path(place.name),
            host_user=os.geteuid() if user is None else user.user_id,
            host_group=os.getegid() if is_rootless else None,
            is_rootless=is_rootless,
            # The program is the owner of these files, too; one of root's containers cannot open them.
            hidden=_launch_directories(spec.run_directory, directory.path) if is_rootless else (),
            argv=(sys.executable, "-I", "-S", str(INIT_PATH)),
            run_directory=spec.run_directory,
            host=host,
            init=Path(container_init.__file__),
            files=tuple(path for path in files if not path.is_relative_to(spec.run_directory)),
            sockets=sockets,
            settings=settings.pasta.files() if spec.network is NetworkMode.PASTA else {},
            network=spec.network,
            memory_bytes=limits.memory_bytes or DEFAULT_MEMORY_BYTES,
            cpu_cores=limits.cpu_cores or DEFAULT_CPU_CORES,
            processes=limits.processes or DEFAULT_PROCESSES,
            tmp_bytes=limits.tmp_bytes or DEFAULT_TMP_BYTES,
            limits_swap=hierarchy.limits_swap,
        )
    )
    place.note_launch(directory)
    descriptor = os.open(place.bundle / EXCHANGE_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(marshal.dumps(_specification(spec)))
    remove_foreign(directory.path)
    if user is not None:
        admit(spec.run_directory, user)


def _launch_directories(run_directory: Path, new: Path) -> tuple[Path, ...]:
    earlier = run_directory.glob("launch-*") if run_directory.is_dir() else ()
    return tuple(sorted({new, *(path for path in earlier if path.is_dir() and not path.is_symlink())}))


def launch_command(spec: LaunchSpec, place: ContainerPlace) -> tuple[str, ...]:
    """What the shim executes: the runtime, or what makes its network. Raises `LaunchError` where there is none."""
    log = place.bundle / RUNTIME_LOG
    runtime = place.runtime.run_command(place.bundle, place.name, log)
    command = (*_WITH_EXCHANGE, str(place.bundle / EXCHANGE_FILE), *runtime)
    if spec.network is not NetworkMode.PASTA:
        return command
    pasta, reason = find_pasta()
    if pasta is None:
        raise LaunchError(f"no container can be made: {reason}", permanent=False)
    try:
        port = forwarded_port(spec.core_address)
    except ConfigurationError as error:
        raise LaunchError(f"no container can be made: {error.message}", permanent=False) from error
    return command_in_network(pasta, place.bundle, log, command, port)


def _specification(spec: LaunchSpec) -> dict[str, Any]:
    """What process 1 of the container executes."""
    rlimits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, spec.limits.open_files or DEFAULT_OPEN_FILES)]
    if spec.limits.file_size_bytes is not None:
        rlimits.append((resource.RLIMIT_FSIZE, spec.limits.file_size_bytes))
    return {
        "argv": list(spec.argv),
        "environment": dict(spec.environment),
        "working_directory": str(spec.run_directory),
        "rlimits": rlimits,
    }
