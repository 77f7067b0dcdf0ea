"""The container runtimes that tests use.

`crun` refuses a machine that has control groups of both versions. There it gets a mount namespace of its own, in which
the tree of version 2 is not mounted. It then works with those of version 1, as on a machine that has these alone.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from pathlib import Path

import pytest
from runtara_environment.runners.oci.cgroup import CgroupHierarchy
from runtara_environment.runners.oci.container_process import owner_name
from runtara_environment.runners.oci.runner import OciRunner
from runtara_environment.runners.oci.settings import OciSettings

RUNTIME = "runc"
with_both_runtimes = pytest.mark.parametrize("container_runtime", ["runc", "crun"], indirect=True)
"""For a test that shows what depends on the runtime; the others have the first."""

_UNIFIED = Path("/sys/fs/cgroup/unified")
_KILL_SECONDS = 10.0


@pytest.fixture(autouse=True)
def container_runtime(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The runtime, for every test of a module."""
    runtime = getattr(request, "param", RUNTIME)
    if runtime == "crun":
        runtime = crun_program(tmp_path_factory.getbasetemp())
    return choose_runtime(monkeypatch, runtime)


def choose_runtime(monkeypatch: pytest.MonkeyPatch, runtime: str = RUNTIME) -> str:
    """Choose a runtime for the test and the processes that it starts; skips where it does not work."""
    monkeypatch.setenv("RUNTARA_OCI_RUNTIME", runtime)
    probe = asyncio.run(OciRunner().probe())
    if not probe.available:
        pytest.skip(f"no containers on this machine: {probe.reason}")
    return runtime


def crun_program(directory: Path) -> str:
    """What runs `crun` here; a launcher is written to the directory where one is needed. Skips where it is missing."""
    crun = shutil.which("crun")
    if crun is None:
        pytest.skip("there is no program crun")
    if not (_UNIFIED / "cgroup.controllers").exists():
        return crun
    unshare, umount = shutil.which("unshare"), shutil.which("umount")
    if unshare is None or umount is None:
        pytest.skip("crun does not work with control groups of both versions, and unshare or umount is missing")
    # The process stays the same: whoever kills the launcher kills crun.
    inner = f'{umount} {_UNIFIED} && exec {shlex.quote(crun)} "$@"'
    launcher = directory / "runtime" / "crun"
    launcher.parent.mkdir(exist_ok=True)
    launcher.write_text(f'#!/bin/sh\nexec {unshare} --mount /bin/sh -c {shlex.quote(inner)} crun "$@"\n')
    launcher.chmod(0o755)
    return str(launcher)


def hierarchy() -> CgroupHierarchy:
    """The control groups of the runner of this process."""
    return CgroupHierarchy(use_systemd=OciSettings.from_environment().use_systemd)


def left_of_containers(data_dir: Path) -> list[str]:
    """The bundles, mounts and control groups of containers of a data directory that are there."""
    bundles = data_dir / "bundles"
    mounts = Path("/proc/mounts").read_text().splitlines()
    return [
        *(str(path) for path in (bundles.iterdir() if bundles.exists() else ())),
        *(line for line in mounts if str(data_dir) in line),
        *(f"control group {name}" for name in hierarchy().names(owner_name(bundles))),
    ]


def remove_control_groups(data_dir: Path) -> None:
    """Remove what is left of containers when a test has killed everything and nobody comes to clean up."""
    groups = hierarchy()
    for name in groups.names(owner_name(data_dir / "bundles")):
        group = groups.group(name)
        group.kill(timeout_seconds=_KILL_SECONDS)
        group.remove()
