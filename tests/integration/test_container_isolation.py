"""What a program in a container can see, use and do, and what becomes of one whose runtime or shim is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.runner import Limits, NetworkMode, RunnerHost
from runtara_environment.runners.oci.container_init import STOP_MODE
from runtara_environment.runners.oci.container_process import EXCHANGE_FILE
from runtara_environment.runners.oci.runner import OciRunner, guest_user
from runtara_environment.testing.runner_suite import until
from runtara_sdk.transport.local.peer import GUEST_USERS

from tests.container_programs import ATTEMPT, MEBIBYTE, answer, assert_nothing_is_left, ended, python_program
from tests.containers import container_runtime as container_runtime
from tests.containers import hierarchy, with_both_runtimes


@with_both_runtimes
async def test_a_program_has_no_privileges(tmp_path: Path) -> None:
    found = await answer(
        tmp_path / "run",
        "lines = open('/proc/self/status').read().splitlines()\n"
        "status = dict(line.split(':\\t', 1) for line in lines if ':\\t' in line)\n"
        "found.update(status, user=os.getuid(), group=os.getgid(), groups=os.getgroups())",
    )
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 0, name
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    assert found["user"] == found["group"] == 1000
    assert found["groups"] in ([], [1000])


async def test_a_program_is_a_stranger_on_the_host(tmp_path: Path) -> None:
    await answer(tmp_path / "run", "open('made', 'w').close()")
    status = (tmp_path / "run" / "made").stat()
    assert status.st_uid == status.st_gid == guest_user("t-1")
    assert status.st_uid in GUEST_USERS
    assert guest_user("t-1") != guest_user("t-2")


@with_both_runtimes
async def test_a_program_writes_to_its_own_places_alone(tmp_path: Path) -> None:
    places = ["/", "/etc", "/usr", "/proc/sys/kernel", "/sys/fs/cgroup", "/run/runtara", "/dev"]
    found = await answer(
        tmp_path / "run",
        f"{ATTEMPT}\nfor place in {places!r}: attempt(place, lambda: open(place + '/made', 'w'))\n"
        "attempt('run directory', lambda: open('made', 'w'))\n"
        "attempt('temporary', lambda: open('/tmp/made', 'w'))\n"
        "attempt('shared memory', lambda: open('/dev/shm/made', 'w'))\n"
        "attempt('much', lambda: open('/tmp/much', 'wb').write(bytes(65 << 20)))",
    )
    assert [found[place] for place in ("run directory", "temporary", "shared memory")] == ["done"] * 3
    assert found["much"] == "No space left on device"
    assert all(found[place] != "done" for place in places), found


@with_both_runtimes
async def test_a_program_sees_neither_host_nor_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAEMON_SECRET", "s3cret-of-the-daemon")
    run_directory = tmp_path / "tenant" / "runs" / "i-1"
    other = tmp_path / "tenant" / "runs" / "i-2"
    other.mkdir(parents=True)
    (other / "input.json").write_text("another's")
    (tmp_path / "runtara.db").write_text("everybody's")
    run_directory.mkdir()
    (run_directory / "input.json").write_text("its own")
    (run_directory / "input.json").chmod(0o600)
    found = await answer(
        run_directory,
        "found['processes'] = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())\n"
        f"found['own'] = open('input.json').read()\n"
        f"found['data'] = os.listdir({str(tmp_path)!r})\n"
        f"found['runs'] = os.listdir({str(run_directory.parent)!r})\n"
        "found['etc'] = sorted(os.listdir('/etc'))\n"
        "found['environment'] = dict(os.environ)\n"
        "found['descriptors'] = {n: os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd')[:-1]}\n"
        "found['devices'] = sorted(os.listdir('/dev'))\n"
        "found['name'] = socket.gethostname()\n"
        "def readable(path):\n"
        "    try: return bool(open(path, 'rb').read(1))\n"
        "    except OSError: return False\n"
        "found['readable'] = [p for p in ('/proc/kcore', '/proc/keys', '/etc/shadow', '/proc/1/environ',\n"
        "    '/proc/timer_list', 'launch-1/shim.json') if readable(p)]",
    )
    assert found["own"] == "its own"
    assert found["runs"] == ["i-1"]
    assert found["data"] == ["tenant"]
    assert len(found["processes"]) <= 2
    assert found["environment"].items() >= {"PATH": "/usr/bin:/bin", "GIVEN": "value"}.items()
    assert set(found["environment"]) <= {"PATH", "GIVEN", "LC_CTYPE"}
    assert set(found["descriptors"]) == {"0", "1", "2"}
    assert found["readable"] == []
    assert "shadow" not in found["etc"]
    assert not {"mem", "kmsg", "sda", "vda"} & set(found["devices"])
    assert found["name"] == "runtara"
    assert "s3cret" not in json.dumps(found)


@with_both_runtimes
async def test_forbidden_calls_are_refused(tmp_path: Path) -> None:
    calls = {"mount": 165, "unshare": 272, "ptrace": 101, "bpf": 321, "keyctl": 250, "io_uring_setup": 425}
    calls |= {"perf_event_open": 298, "init_module": 175, "reboot": 169, "setns": 308, "userfaultfd": 323}
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of system calls are those of x86_64")
    found = await answer(
        tmp_path / "run",
        "import ctypes, errno\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"for name, number in {calls!r}.items():\n"
        "    found[name] = (libc.syscall(number, 0, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()])\n"
        "new_user = 0x10000000 | 17\n"
        "found['clone'] = (libc.syscall(56, new_user, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()])\n"
        "for family in (socket.AF_PACKET, socket.AF_ALG, socket.AF_VSOCK):\n"
        "    try: socket.socket(family, socket.SOCK_DGRAM)\n"
        "    except OSError as error: found[str(family)] = (-1, errno.errorcode[error.errno])\n"
        "    else: found[str(family)] = (0, '')",
    )
    assert {name: tuple(result) for name, result in found.items()} == dict.fromkeys(found, (-1, "EPERM"))


async def test_nothing_is_reachable_without_a_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = await answer(
            tmp_path / "run",
            f"{ATTEMPT}\n"
            "found['interfaces'] = [name for _, name in socket.if_nameindex()]\n"
            f"attempt('host', lambda: socket.create_connection(('127.0.0.1', {port}), 5))\n"
            "attempt('metadata', lambda: socket.create_connection(('169.254.169.254', 80), 5))\n"
            "attempt('others', lambda: socket.create_connection(('192.0.2.1', 80), 5))\n",
        )
        assert "done" not in (found["host"], found["metadata"], found["others"])
        assert found["interfaces"] == ["lo"]
        shared = await answer(
            tmp_path / "host",
            f"{ATTEMPT}\nattempt('host', lambda: socket.create_connection(('127.0.0.1', {port}), 5))",
            network=NetworkMode.HOST,
        )
        assert shared == {"host": "done"}


@with_both_runtimes
async def test_a_memory_bomb_is_contained(tmp_path: Path) -> None:
    code = "blocks = []\nwhile True: blocks.append(b'x' * (1 << 20))"
    process = await OciRunner().launch(
        python_program(tmp_path / "run", code, limits=Limits(memory_bytes=64 * MEBIBYTE))
    )
    end = await ended(process)
    assert (end.exit_code, end.out_of_memory) == (-signal.SIGKILL, True)
    assert end.memory_peak_bytes is not None
    assert 60 * MEBIBYTE < end.memory_peak_bytes <= 65 * MEBIBYTE


async def test_a_fork_bomb_is_contained(tmp_path: Path) -> None:
    code = (
        "children = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0:\n"
        "            import time; time.sleep(600)\n"
        "        children += 1\n"
        "except BlockingIOError:\n"
        "    found['children'] = children"
    )
    found = await answer(tmp_path / "run", code, limits=Limits(processes=32, cpu_cores=1.0))
    assert 10 < found["children"] < 32


async def test_processor_time_is_bounded(tmp_path: Path) -> None:
    code = "import time\nuntil = time.monotonic() + 1\nwhile time.monotonic() < until: pass"
    process = await OciRunner().launch(python_program(tmp_path / "run", code, limits=Limits(cpu_cores=0.2)))
    end = await ended(process)
    assert end.cpu_usage_usec is not None
    assert 0 < end.cpu_usage_usec < 700_000


async def test_an_earlier_program_cannot_lead_the_daemon_astray(tmp_path: Path) -> None:
    run_directory, target = tmp_path / "run", tmp_path / "target"
    target.mkdir()
    found = await answer(
        run_directory,
        f"{ATTEMPT}\n"
        f"os.symlink({str(target)!r}, 'launch-2')\n"
        f"os.mkdir('launch-3')\n"
        "attempt('rename', lambda: os.rename('launch-1', 'launch-4'))\n"
        "attempt('look', lambda: os.listdir('launch-1'))",
    )
    assert "done" not in found.values()
    for epoch in (2, 3):
        await answer(run_directory, "", epoch=epoch)
    assert list(target.iterdir()) == []
    process = await OciRunner().attach(OciRunner().planned_state(python_program(run_directory, "", epoch=2)))
    assert process is not None
    assert (await ended(process)).exit_code == 0


@with_both_runtimes
@pytest.mark.parametrize("victim", ["pid", "child_pid"], ids=["shim", "runtime"])
async def test_nothing_survives_a_killed_shim_or_runtime(tmp_path: Path, victim: str) -> None:
    run_directory = tmp_path / "run"
    code = "import time; open('ready', 'w').close()\nwhile True: time.sleep(60)"
    runner = OciRunner()
    spec = python_program(run_directory, code)
    process = await runner.launch(spec)
    await until((run_directory / "ready").exists, "program runs")
    owner: Mapping[str, Any] = json.loads((run_directory / "launch-1" / "shim.json").read_text())
    os.kill(owner[victim], signal.SIGKILL)
    end = await ended(process)
    assert end.exit_code in (None, -signal.SIGKILL)
    assert_nothing_is_left(runner, spec)
    adopted = await runner.attach(process.state)
    assert adopted is not None
    assert await ended(adopted) == end


async def test_a_stop_that_comes_before_process_1_looks_at_signals_is_not_lost(tmp_path: Path) -> None:
    """The mark that `stop` leaves is enough: whatever signal comes with it, the kernel may drop."""
    runner = OciRunner()
    spec = python_program(tmp_path / "run", "import time\nwhile True: time.sleep(60)")
    process = await runner.launch(spec)
    (Path(runner.planned_state(spec)["bundle"]) / EXCHANGE_FILE).chmod(0o600 | STOP_MODE)
    assert (await ended(process)).exit_code == -signal.SIGTERM


async def test_no_trace_is_left(tmp_path: Path) -> None:
    runner = OciRunner()
    spec = python_program(tmp_path / "run", "")
    assert (await ended(await runner.launch(spec))).exit_code == 0
    assert_nothing_is_left(runner, spec)


async def test_a_container_whose_instance_is_gone_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OciRunner, "_swept", set())
    runner, bundles = OciRunner(), tmp_path / "bundles"
    code = "import time; open('ready', 'w').close()\nwhile True: time.sleep(60)"
    gone = python_program(tmp_path / "gone", code, bundles_directory=bundles)
    process = await runner.launch(gone)
    await until((tmp_path / "gone" / "ready").exists, "program runs")
    shutil.rmtree(tmp_path / "gone")
    os.utime(runner.planned_state(gone)["bundle"], (0, 0))
    monkeypatch.setattr(OciRunner, "_swept", set())
    other = await runner.launch(python_program(tmp_path / "other", "", bundles_directory=bundles))
    assert (await ended(other)).exit_code == 0
    assert (await ended(process)).exit_code in (None, -signal.SIGKILL)
    assert_nothing_is_left(runner, gone)


async def test_control_groups_of_containers_without_files_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when everything is killed and the data directory removed, before somebody has settled the launch."""
    directories = [tmp_path / name for name in ("own", "another")]
    groups = []
    for directory in directories:
        spec = python_program(directory / "run", "open('ready', 'w').close()\nwhile True: pass")
        process = await OciRunner().launch(spec)
        await until((directory / "run" / "ready").exists, "program runs")
        group = hierarchy().group(Path(OciRunner().planned_state(spec)["bundle"]).name)
        groups.append([path for path in group.directories.values() if path.exists()])
        # Nobody waits for the process, so nobody cleans up.
        for pid in (
            process.state["pid"],
            *(int(pid) for path in groups[-1][0].rglob("cgroup.procs") for pid in path.read_text().split()),
        ):
            os.kill(pid, signal.SIGKILL)
        assert await asyncio.to_thread(group.kill, timeout_seconds=10)
        shutil.rmtree(directory)
    own, another = groups
    assert own
    assert another
    for directory, found in zip(directories, groups, strict=True):
        assert any(path.exists() for path in found)  # systemd removes some of those of version 1 by itself
        monkeypatch.setattr(OciRunner, "_swept", set())
        runner = OciRunner()
        runner.prepare(RunnerHost(directory, bundles_directory=directory / "bundles"))
        assert (await runner.probe()).available
        assert not any(path.exists() for path in found)
