"""Control groups of both versions: where those of a launch are, what they tell, and which are left behind."""

from pathlib import Path

import pytest
from runtara_environment.runners.oci import container_init
from runtara_environment.runners.oci.cgroup import CgroupHierarchy, Usage
from runtara_environment.runners.oci.container_process import ContainerPlace, remove_left_groups
from runtara_environment.runners.oci.runtime import Runtime


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
    tmp_path: Path, is_unified: bool, use_systemd: bool
) -> None:
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
        (directory / "cgroup.procs").touch()  # here, as in the kernel, what is not empty cannot be removed
    assert remove_left_groups(bundles, hierarchy) == [left.name]
    remaining = hierarchy.names("")
    assert remaining == {live.name, busy.name, foreign.name}
    assert remove_left_groups(tmp_path / "nobody's", hierarchy) == []


def test_nothing_is_left_where_there_are_no_groups(tmp_path: Path) -> None:
    assert remove_left_groups(tmp_path / "bundles", CgroupHierarchy(tmp_path / "missing")) == []
