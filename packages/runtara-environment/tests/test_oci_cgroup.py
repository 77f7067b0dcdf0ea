"""Control groups of both versions: where those of a launch are, what they tell, and which are left behind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from runtara_environment.runners.oci import container_init, runner, systemd_units
from runtara_environment.runners.oci.cgroup import CgroupHierarchy, LaunchCgroup, Usage
from runtara_environment.runners.oci.container_process import ContainerPlace, remove_left_groups
from runtara_environment.runners.oci.runner import OciRunner
from runtara_environment.runners.oci.runtime import Runtime


def systemctl(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *, exit_code: int = 0, script: str = ""
) -> Callable[[], list[str]]:
    """Put a program of this name before all others; what is returned tells what it has been asked for."""
    asked = directory / "asked"
    directory.mkdir()
    program = directory / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$3 $5" >>{asked}\n{script}\necho "Access denied" >&2\nexit {exit_code}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
    return lambda: asked.read_text().splitlines() if asked.exists() else []


def version_2(mount: Path) -> CgroupHierarchy:
    """A tree as the kernel shows it: one launch whose container has ended, beside the groups of the system."""
    (mount / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    (mount / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (mount / "system.slice").mkdir()
    group = mount / "runtara" / "name"
    group.mkdir(parents=True)
    files = {
        "cgroup.procs": "",
        "cgroup.subtree_control": "cpu memory pids\n",
        "cpu.stat": (
            "usage_usec 456789\nuser_usec 400000\nsystem_usec 56789\nnice_usec 0\n"
            "nr_periods 12\nnr_throttled 3\nthrottled_usec 90000\n"
        ),
        "memory.current": "0\n",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
        "memory.max": "max\n",
        "memory.peak": "91234304\n",
        "memory.swap.max": "max\n",
        "pids.peak": "7\n",
    }
    for name, text in files.items():
        (group / name).write_text(text)
    return CgroupHierarchy(mount)


def test_version_2(tmp_path: Path) -> None:
    hierarchy = version_2(tmp_path)
    assert hierarchy.is_unified
    assert hierarchy.controllers() >= {"cpu", "memory", "pids"}
    assert hierarchy.limits_swap
    assert hierarchy.container_path("name") == "/runtara/name/container"
    # The group of the launch counts what is in the group of its container, also when that is gone.
    assert hierarchy.group("name").usage() == Usage(91_234_304, 456_789)


def test_kernels_before_5_19_tell_no_peak_of_version_2(tmp_path: Path) -> None:
    hierarchy = version_2(tmp_path)
    (tmp_path / "runtara" / "name" / "memory.peak").unlink()
    assert hierarchy.group("name").usage() == Usage(None, 456_789)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 71\noom 3\noom_kill 2\noom_group_kill 0\n"),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
    ],
    ids=["version 2", "version 1"],
)
def test_process_1_counts_the_processes_that_were_killed_for_want_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str
) -> None:
    files = tuple(str(tmp_path / Path(each).relative_to("/sys/fs/cgroup")) for each in container_init._OOM_COUNT_FILES)
    monkeypatch.setattr(container_init, "_OOM_COUNT_FILES", files)
    assert container_init._oom_kills() == 0
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    assert str(tmp_path / path) in files
    assert container_init._oom_kills() == 2


def test_process_1_reads_the_processor_time_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuacct.usage"
    monkeypatch.setattr(container_init, "_PROCESSOR_TIME_FILE", str(file))
    assert container_init._cpu_usage_usec() == 0
    file.write_text("7999\n")
    assert container_init._cpu_usage_usec() == 7


def test_usage_of_version_1(tmp_path: Path) -> None:
    for controller, name, text in (("memory", "memory.max_usage_in_bytes", "5"), ("cpuacct", "cpuacct.usage", "7999")):
        group = tmp_path / controller / "runtara" / "name"
        group.mkdir(parents=True)
        (group / name).write_text(text)
    assert CgroupHierarchy(tmp_path).group("name").usage() == Usage(5, 7)
    assert CgroupHierarchy(tmp_path).group("other").usage() == Usage(None, None)


def test_groups_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    hierarchy = CgroupHierarchy(tmp_path, use_systemd=True)
    assert hierarchy.container_path("ab") == "runtara-ab.slice:runtara:ab"
    scopes = {hierarchy.container_path(name).partition(":")[2] for name in ("ab", "cd")}
    assert len(scopes) == 2  # units of systemd have one namespace
    assert hierarchy.group("ab").directories == {"": tmp_path / "runtara.slice" / "runtara-ab.slice"}


def without_systemctl(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(os, "defpath", str(directory))


def group_of_systemd(tmp_path: Path) -> LaunchCgroup:
    """One whose container has ended: the slice is left, and nothing is in it."""
    scopes = tmp_path / "transient"
    scopes.mkdir()
    (tmp_path / "cgroup.controllers").touch()
    group = CgroupHierarchy(tmp_path, use_systemd=True, scopes=scopes).group("ab")
    group.directories[""].mkdir(parents=True)
    return group


def test_systemd_removes_what_it_has_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = group_of_systemd(tmp_path)
    calls = systemctl(tmp_path / "programs", monkeypatch)
    assert group.remove()
    assert calls() == ["stop runtara-ab.slice"]
    assert not group.directories[""].exists()
    assert group.remove()
    assert len(calls()) == 1  # there is nothing to ask for


def test_directories_stay_for_the_next_attempt_where_systemd_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    group = group_of_systemd(tmp_path)
    systemctl(tmp_path / "programs", monkeypatch, exit_code=4)
    assert not group.remove()
    assert group.directories[""].exists()
    assert "systemd does not remove runtara-ab.slice: Access denied" in caplog.text
    without_systemctl(tmp_path / "transient", monkeypatch)
    assert not group.remove()
    assert "there is no program systemctl" in caplog.text


def test_a_signal_to_the_group_of_the_daemon_does_not_reach_what_asks_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, seen = group_of_systemd(tmp_path), tmp_path / "group"
    systemctl(tmp_path / "programs", monkeypatch, script=f"cut -d' ' -f5 /proc/$$/stat >{seen}")
    assert group.remove()
    assert int(seen.read_text()) != os.getpgrp()


def test_directories_go_whose_slice_systemd_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = group_of_systemd(tmp_path)
    systemctl(tmp_path / "programs", monkeypatch, exit_code=5)
    assert group.remove()
    assert not group.directories[""].exists()


def test_a_scope_that_failed_is_found_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the process that it was made for was gone already."""
    group = group_of_systemd(tmp_path)
    group.directories[""].rmdir()
    scope = tmp_path / "transient" / "runtara-ab.scope"
    scope.touch()
    hierarchy = CgroupHierarchy(tmp_path, use_systemd=True, scopes=scope.parent)
    assert hierarchy.names("") == hierarchy.names("a") == {"ab"}
    assert hierarchy.names("b") == set()
    calls = systemctl(tmp_path / "programs", monkeypatch, script=f'test "$3" != reset-failed || rm {scope}')
    assert group.remove()
    assert calls() == ["stop runtara-ab.slice", "reset-failed runtara-ab.scope"]
    assert hierarchy.names("") == set()


async def test_the_probe_tells_that_there_is_no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_is_rootless", lambda: False)
    monkeypatch.setenv("USE_SYSTEMD_CGROUP", "true")
    without_systemctl(tmp_path, monkeypatch)
    for mark, message in (
        (tmp_path / "missing", f"systemd does not run here: there is no {tmp_path / 'missing'}"),
        (tmp_path, "there is no program systemctl"),
    ):
        monkeypatch.setattr(systemd_units, "RUNNING_MARK", mark)
        monkeypatch.setattr(OciRunner, "_tried", {})
        probe = await OciRunner().probe()
        assert not probe.available
        assert probe.reason == f"USE_SYSTEMD_CGROUP is set, but {message}"


async def test_the_probe_tells_what_a_runtime_needs_systemd_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "crun"
    program.write_text("#!/bin/sh\nexit 1\n")  # not even its version is to be had
    program.chmod(0o755)
    monkeypatch.setattr(systemd_units, "obstacle", lambda: None)
    monkeypatch.setattr(runner, "_is_rootless", lambda: False)
    monkeypatch.setattr(OciRunner, "_tried", {})
    monkeypatch.setenv("RUNTARA_OCI_RUNTIME", str(program))
    reasons = {}
    for use_systemd in ("false", "true"):
        monkeypatch.setenv("USE_SYSTEMD_CGROUP", use_systemd)
        reasons[use_systemd] = (await OciRunner().probe()).reason
    assert reasons["false"] == f"crun: {program} --version tells no version"
    assert reasons["true"].startswith(f"{reasons['false']}; USE_SYSTEMD_CGROUP is set, so systemd has to answer")


def test_an_empty_group_is_removed(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    group = CgroupHierarchy(tmp_path).group("name")
    (group.directories[""] / "container").mkdir(parents=True)
    assert group.kill(timeout_seconds=1)
    group.remove()
    assert not group.directories[""].exists()


@pytest.mark.parametrize("use_systemd", [False, True])
@pytest.mark.parametrize("is_unified", [False, True], ids=["version 1", "version 2"])
def test_groups_without_a_bundle_are_removed_where_they_are_of_the_same_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_unified: bool, use_systemd: bool
) -> None:
    calls = systemctl(tmp_path / "programs", monkeypatch)
    mount, bundles, others = tmp_path / "cgroup", tmp_path / "bundles", tmp_path / "others"
    mount.mkdir()
    if is_unified:
        (mount / "cgroup.controllers").write_text("cpu memory pids\n")
    else:
        for controller in ("memory", "pids"):
            (mount / controller).mkdir()
    hierarchy = CgroupHierarchy(mount, use_systemd)
    runtime = Runtime(Path("/usr/bin/runc"), use_systemd)
    launches = [(bundles, 1), (bundles, 2), (bundles, 3), (others, 1)]
    left, live, busy, foreign = (
        ContainerPlace.of_launch(directory, Path("/data/demo/runs/i-1"), epoch, runtime, "the program")
        for directory, epoch in launches
    )
    assert len({place.name[:12] for place in (left, live, busy)}) == 1
    for place in (left, live, busy, foreign):
        for directory in hierarchy.group(place.name).directories.values():
            directory.mkdir(parents=True)
    live.bundle.mkdir(parents=True)
    for directory in hierarchy.group(busy.name).directories.values():
        (directory / "cgroup.procs").write_text("1\n")  # here, as in the kernel, what is not empty cannot be removed
    assert remove_left_groups(bundles, hierarchy) == [left.name]
    remaining = hierarchy.names("")
    assert remaining == {live.name, busy.name, foreign.name}
    assert remove_left_groups(tmp_path / "nobody's", hierarchy) == []
    # To end a slice is to kill what is in it.
    assert calls() == ([f"stop runtara-{left.name}.slice"] if use_systemd else [])


def test_nothing_is_left_where_there_are_no_groups(tmp_path: Path) -> None:
    assert remove_left_groups(tmp_path / "bundles", CgroupHierarchy(tmp_path / "missing")) == []
