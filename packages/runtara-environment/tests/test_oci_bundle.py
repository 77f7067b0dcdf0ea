"""What a container's configuration says, without making one."""

import json
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.runner import NetworkMode
from runtara_environment.runners.oci.bundle import GUEST_ID, Container, container_configuration, write_bundle
from runtara_environment.runners.oci.host_files import HostFiles, interpreter_directories, without_nested
from runtara_environment.runners.oci.seccomp import allowed_calls, seccomp_profile

HOST = HostFiles((Path("/usr"), Path("/opt/python")), ((Path("/bin"), "usr/bin"),))


def container(directory: Path = Path("/data/bundles/name"), **changes: Any) -> Container:
    values: dict[str, Any] = {
        "directory": directory,
        "cgroup_path": "/runtara/name/container",
        "host_user": 1_900_000_007,
        "argv": ("/usr/bin/python3", "/run/runtara/container_init.py"),
        "run_directory": Path("/tmp/data/runs/i-1"),
        "host": HOST,
        "init": Path("/opt/init.py"),
        "files": (Path("/data/core.sock"),),
    }
    return Container(**values | changes)


def test_a_program_is_a_user_without_rights() -> None:
    configuration = container_configuration(container())
    process = configuration["process"]
    assert process["user"]["uid"] == process["user"]["gid"] == GUEST_ID
    assert process["noNewPrivileges"] is True
    assert all(capabilities == [] for capabilities in process["capabilities"].values())
    assert len(process["capabilities"]) == 5
    assert configuration["root"] == {"path": "rootfs", "readonly": True}
    guest = {"containerID": GUEST_ID, "hostID": 1_900_000_007, "size": 1}
    assert guest in configuration["linux"]["uidMappings"]
    assert guest in configuration["linux"]["gidMappings"]


def test_without_root_a_program_is_the_user_itself_and_nothing_is_bounded() -> None:
    hidden = (Path("/tmp/data/runs/i-1/launch-1"),)
    changes = {"host_user": 1001, "host_group": 1002, "is_rootless": True, "hidden": hidden}
    configuration = container_configuration(container(**changes))
    linux = configuration["linux"]
    assert configuration["process"]["user"]["uid"] == configuration["process"]["user"]["gid"] == 0
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1001, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 1002, "size": 1}]
    assert not {"cgroupsPath", "resources"} & linux.keys()
    mounts = {mount["destination"]: mount for mount in configuration["mounts"]}
    assert "/sys/fs/cgroup" not in mounts
    assert mounts["/tmp/data/runs/i-1/launch-1"]["type"] == "tmpfs"
    assert "ro" in mounts["/tmp/data/runs/i-1/launch-1"]["options"]


@pytest.mark.parametrize("network", [NetworkMode.NONE, NetworkMode.HOST, NetworkMode.PASTA])
def test_namespaces(network: NetworkMode) -> None:
    namespaces = {each["type"] for each in container_configuration(container(network=network))["linux"]["namespaces"]}
    assert namespaces >= {"pid", "mount", "ipc", "uts", "cgroup", "user"}
    assert ("network" in namespaces) is (network is NetworkMode.NONE)


def test_bounds() -> None:
    changes = {"memory_bytes": 64 << 20, "cpu_cores": 0.25, "processes": 9}
    resources = container_configuration(container(**changes))["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 64 << 20}
    assert resources["cpu"] == {"quota": 25_000, "period": 100_000}
    assert resources["pids"] == {"limit": 9}
    assert resources["devices"] == [{"allow": False, "access": "rwm"}]
    without_swap = container_configuration(container(limits_swap=False))["linux"]["resources"]
    assert without_swap["memory"] == {"limit": 512 << 20}
    assert without_swap["cpu"]["quota"] == 50_000


def test_the_run_directory_alone_is_writable_on_the_host() -> None:
    mounts = container_configuration(container())["mounts"]
    writable = [mount["source"] for mount in mounts if mount["type"] == "bind" and "ro" not in mount["options"]]
    assert writable == ["/tmp/data/runs/i-1"]
    assert all("nosuid" in mount["options"] for mount in mounts)
    assert all("nodev" in mount["options"] for mount in mounts if mount["destination"] != "/dev")
    sized = {mount["destination"] for mount in mounts if any(option.startswith("size=") for option in mount["options"])}
    assert sized == {mount["destination"] for mount in mounts if mount["type"] == "tmpfs"}


def test_the_directory_of_control_groups_is_read_only_whatever_the_runtime_mounts_there() -> None:
    assert "/sys/fs/cgroup" in container_configuration(container())["linux"]["readonlyPaths"]


def test_a_socket_is_shown_by_its_directory_so_that_the_next_server_is_seen() -> None:
    mounts = container_configuration(container(files=(), sockets=(Path("/data/.sockets/core.sock"),)))["mounts"]
    [mount] = [mount for mount in mounts if mount["destination"] == "/data/.sockets"]
    assert mount["source"] == "/data/.sockets/core.sock.guests"
    assert "ro" in mount["options"]
    assert not [mount for mount in mounts if mount["source"] == "/data/.sockets"]


def test_what_lies_in_another_mount_comes_after_it() -> None:
    destinations = [mount["destination"] for mount in container_configuration(container())["mounts"]]
    assert destinations.index("/tmp") < destinations.index("/tmp/data/runs/i-1")
    assert destinations.index("/dev") < destinations.index("/dev/shm")


def test_a_bundle_has_links_and_settings_of_its_own(tmp_path: Path) -> None:
    bundle = container(tmp_path / "bundle")
    write_bundle(bundle)
    assert json.loads((bundle.directory / "config.json").read_bytes()) == container_configuration(bundle)
    root = bundle.directory / "rootfs"
    assert (root / "bin").readlink() == Path("usr/bin")
    assert sorted(path.name for path in (root / "etc").iterdir()) == ["group", "hosts", "nsswitch.conf", "passwd"]
    assert bundle.directory.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        write_bundle(bundle)


def test_dangerous_calls_are_not_allowed() -> None:
    dangerous = {
        "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_settime", "delete_module", "finit_module", "fsopen",
        "init_module", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_load", "keyctl", "lookup_dcookie", "mount",
        "move_mount", "name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "personality",
        "pidfd_getfd", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot",
        "request_key", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff", "swapon", "syslog",
        "umount2", "unshare", "userfaultfd", "vhangup", "clone", "clone3", "socket",
    }  # fmt: skip
    assert not dangerous & set(allowed_calls())
    assert len(allowed_calls()) == len(set(allowed_calls()))
    profile = seccomp_profile()
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    conditional = {name for rule in profile["syscalls"] if "args" in rule for name in rule["names"]}
    assert conditional == {"clone", "socket"}


def test_nested_paths_are_left_out() -> None:
    paths = [Path("/opt/python/lib"), Path("/usr"), Path("/opt/python"), Path("/usr2"), Path("/usr/bin")]
    assert without_nested(paths) == (Path("/opt/python"), Path("/usr"), Path("/usr2"))


def test_the_interpreter_brings_its_packages() -> None:
    shown = without_nested(interpreter_directories())
    for module in (json, pytest):
        assert any(Path(str(module.__file__)).is_relative_to(path) for path in shown), module
    import runtara_environment

    assert any(Path(str(runtara_environment.__file__)).is_relative_to(path) for path in shown)
