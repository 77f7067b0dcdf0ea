"""What a hostile program of the native runner can reach when it has a user of its own, and what it cannot."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from runtara_core.guest_users import VARIABLE, GuestUsers
from runtara_environment.data_directory_modes import secure_data_directory
from runtara_environment.logs.output_files import read_output
from runtara_environment.runner import LaunchedProcess, LaunchError, LaunchSpec, Limits, ProcessExit, RunnerHost
from runtara_environment.runners.native import NativeRunner
from runtara_environment.supervision.file_copies import copy_directory
from runtara_environment.supervision.run_directory import choose_run_directory
from runtara_environment.testing.runner_checks.checked_runner import COMETS
from runtara_environment.testing.runner_suite import WAIT_SECONDS, is_alive, until
from runtara_environment.tree_removal import remove_tree
from runtara_sdk.transport import ServerSettings, payload_handler
from runtara_sdk.transport.local import serve_local

from tests.guests import guest_python
from tests.guests import open_directory as open_directory
from tests.guests import users_of_their_own as users_of_their_own

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("users_of_their_own")]

FOREVER = "import time\nopen('ready', 'w').close()\nwhile True: time.sleep(60)"

ATTEMPT = """
import json, os, signal, socket
found = {}
def attempt(name, call):
    try:
        call()
    except OSError as error:
        found[name] = os.strerror(error.errno) if error.errno else str(error)
    else:
        found[name] = "done"
def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
"""


@pytest.fixture
def data_dir(open_directory: Path) -> Path:
    """A data directory with everything that a program must not read, as daemons make it."""
    data_dir = open_directory / "data"
    data_dir.mkdir()
    for name in ("runtara.db", "runtara.db-wal", "runtara.db-shm", "host-id"):
        (data_dir / name).write_text("secret")
    for name in ("ca.pem", "server-key.pem", "ca-key.pem"):
        (data_dir / "tls").mkdir(exist_ok=True)
        (data_dir / "tls" / name).write_text("secret")
    for name in ("images", "cache"):
        (data_dir / name).mkdir()
        (data_dir / name / "file").write_text("content")
    secure_data_directory(data_dir, has_guest_users=True)
    return data_dir


def program(data_dir: Path, code: str, *, tenant: str = "t-1", instance: str = "i-1", **changes: Any) -> LaunchSpec:
    run_directory = choose_run_directory(data_dir, tenant, instance, "d" * 32)
    run_directory.chmod(0o700)
    (run_directory / "workspace").mkdir(exist_ok=True, mode=0o700)
    (run_directory / "input.json").write_text('{"own": "input"}')
    (run_directory / "input.json").chmod(0o600)
    values: dict[str, Any] = {
        "instance_id": instance,
        "tenant_id": tenant,
        "epoch": 1,
        "argv": (guest_python(), "-I", "-S", "-c", code),
        "environment": {"GIVEN": "value"},
        "run_directory": run_directory,
    }
    return LaunchSpec(**values | changes)


async def ended(process: LaunchedProcess) -> ProcessExit:
    return await asyncio.wait_for(process.wait(), WAIT_SECONDS)


async def answer(data_dir: Path, code: str, **changes: Any) -> dict[str, Any]:
    """What code leaves in the dict `found`."""
    process = await NativeRunner().launch(program(data_dir, f"{ATTEMPT}\n{code}\nprint(json.dumps(found))", **changes))
    end = await ended(process)
    assert end.exit_code == 0, (end, await process.output_tail("stderr"))
    found: dict[str, Any] = json.loads(await process.output_tail("stdout", limit_bytes=1 << 20))
    return found


async def test_a_program_has_neither_rights_nor_groups_nor_descriptors(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAEMON_SECRET", "s3cret-of-the-daemon")
    with (data_dir / "runtara.db").open() as inherited:
        os.set_inheritable(inherited.fileno(), True)
        found = await answer(
            data_dir,
            "lines = open('/proc/self/status').read().splitlines()\n"
            "found.update(line.split(':\\t', 1) for line in lines if ':\\t' in line)\n"
            "found.update(ids=os.getresuid() + os.getresgid(), groups=os.getgroups(), environment=dict(os.environ))\n"
            "found['umask'] = os.umask(0)\n"
            "found['descriptors'] = sorted(os.listdir('/proc/self/fd'))[:-1]\n"
            "attempt('back to root', lambda: os.setuid(0))\n"
            "attempt('stdout', lambda: open('/dev/stdout', 'a').close())",
        )
    user = GuestUsers().of_tenant("t-1").user_id
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[name], 16) == 0, name
    assert found["NoNewPrivs"] == "1"
    assert found["ids"] == [user] * 6
    assert found["groups"] == []
    assert set(found["environment"]) <= {"GIVEN", "LC_CTYPE"}
    assert found["umask"] == 0o077
    assert found["descriptors"] == ["0", "1", "2"]
    assert found["back to root"] == "Operation not permitted"
    assert found["stdout"] == "done"


async def test_a_program_reads_nothing_of_daemon_and_others(data_dir: Path) -> None:
    other = await NativeRunner().launch(program(data_dir, FOREVER, tenant="t-2", instance="other"))
    directory = data_dir / "t-2" / "runs" / "other"
    await until((directory / "ready").exists, "the other program runs")
    owner = json.loads((directory / "launch-1" / "shim.json").read_text())
    pids = {"daemon": os.getpid(), "shim": owner["pid"], "other": owner["child_pid"]}
    closed = [
        *(data_dir / name for name in ("runtara.db", "runtara.db-wal", "runtara.db-shm", "host-id", "cache/file")),
        *(data_dir / "tls" / name for name in ("server-key.pem", "ca-key.pem")),
        *(directory / name for name in ("input.json", "ready", "launch-1/stdout.log", "launch-1/shim.json")),
        *(f"/proc/{pid}/{name}" for pid in pids.values() for name in ("environ", "mem", "maps")),
    ]
    lists = [data_dir, data_dir / "t-2" / "runs", directory, data_dir / "tls"]
    lists += [Path(f"/proc/{pid}/fd") for pid in pids.values()]
    found = await answer(
        data_dir,
        f"for path in {[str(path) for path in closed]!r}: attempt(path, lambda: open(path, 'rb').read(1))\n"
        f"for path in {[str(path) for path in lists]!r}: attempt(path, lambda: os.listdir(path))\n"
        f"for name, pid in {pids!r}.items():\n"
        "    for number in (0, signal.SIGTERM, signal.SIGKILL):\n"
        "        attempt(f'{name} {number}', lambda: os.kill(pid, number))\n"
        "refused, found = found, {}\n"
        f"attempt('authority', lambda: open({str(data_dir / 'tls' / 'ca.pem')!r}).read())\n"
        f"attempt('image', lambda: open({str(data_dir / 'images' / 'file')!r}).read())\n"
        "attempt('input', lambda: open('input.json').read())\n"
        "attempt('workspace', lambda: open('workspace/made', 'w').close())\n"
        "attempt('run directory', lambda: open('made', 'w').close())\n"
        "found = {'refused': refused, 'allowed': found}",
    )
    assert set(found["refused"].values()) <= {"Permission denied", "Operation not permitted"}
    assert len(found["refused"]) == len(closed) + len(lists) + 9
    assert set(found["allowed"].values()) == {"done"}
    assert (await other.stop(WAIT_SECONDS)).exit_code == -signal.SIGTERM


async def test_a_program_connects_to_the_socket_of_instances_alone(data_dir: Path) -> None:
    async def respond(payload: bytes) -> bytes:
        return payload

    settings = ServerSettings()
    handler = payload_handler(respond, settings)
    sockets = data_dir / ".sockets"
    instances = await serve_local(handler, settings, sockets / "core.sock", for_guests=True)
    management = await serve_local(handler, settings, sockets / "core-admin.sock")
    try:
        found = await answer(
            data_dir,
            f"attempt('instances', lambda: connect({str(sockets / 'core.sock')!r}))\n"
            f"attempt('management', lambda: connect({str(sockets / 'core-admin.sock')!r}))\n"
            f"attempt('list', lambda: os.listdir({str(sockets)!r}))\n"
            f"attempt('replace', lambda: os.unlink({str(sockets / 'core.sock')!r}))",
        )
    finally:
        await management.close()
        await instances.close()
    assert found == {
        "instances": "done",
        "management": "Permission denied",
        "list": "Permission denied",
        "replace": "Permission denied",
    }


async def test_a_program_neither_forges_nor_removes_its_exit_and_logs(data_dir: Path) -> None:
    spec = program(
        data_dir,
        f"{ATTEMPT}\n"
        "attempt('look', lambda: os.listdir('launch-1'))\n"
        "attempt('forge', lambda: open('launch-1/exit.json', 'w').write('{}'))\n"
        "attempt('remove', lambda: os.unlink('launch-1/exit.json'))\n"
        "attempt('rename', lambda: os.rename('launch-1', 'launch-9'))\n"
        "attempt('shim', lambda: os.kill(os.getppid(), signal.SIGKILL))\n"
        "attempt('mark', lambda: os.unlink('database-id'))\n"
        "attempt('input', lambda: os.rename('input.json', 'other.json'))\n"
        "print(json.dumps(found)); raise SystemExit(3)",
    )
    process = await NativeRunner().launch(spec)
    assert (await ended(process)).exit_code == 3
    found = json.loads(await process.output_tail("stdout"))
    assert set(found.values()) == {"Permission denied", "Operation not permitted"}


async def test_links_lead_the_daemon_nowhere(data_dir: Path, open_directory: Path) -> None:
    """A program puts links where the daemon writes, copies, hands over and removes as root."""
    target = open_directory / "target"
    target.mkdir(mode=0o700)
    secret = target / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    before = {path: path.stat() for path in (target, secret)}
    await answer(
        data_dir,
        f"target = {str(target)!r}\n"
        "os.rmdir('workspace')\n"
        "for name in ('workspace', 'launch-2', 'gone-since', 'linked'): os.symlink(target, name)\n"
        "os.mkdir('launch-3')\n"
        "for name in ('shim.json', 'exit.json', 'stdout.log', 'stderr.log', 'spec.bin'):\n"
        "    os.symlink(target + '/secret', 'launch-3/' + name)\n"
        "os.mkdir('copied'); os.symlink(target, 'copied/inner'); os.symlink(target + '/secret', 'copied/file')\n",
    )
    run_directory = data_dir / "t-1" / "runs" / "i-1"
    for epoch in (2, 3):
        process = await NativeRunner().launch(program(data_dir, "", epoch=epoch))
        assert (await ended(process)).exit_code == 0
    assert await NativeRunner().attach({"run_directory": str(run_directory), "epoch": 4}) is None
    with pytest.raises(OSError, match="irectory"):
        copy_directory(run_directory / "workspace", open_directory / "fork", without="")
    copy_directory(run_directory / "copied", open_directory / "fork", without="")
    assert (open_directory / "fork" / "inner").readlink() == target
    assert (open_directory / "fork" / "file").is_symlink()
    remove_tree(run_directory)
    assert not run_directory.exists()
    for path, status in before.items():
        now = path.stat()
        assert (now.st_mode, now.st_uid, now.st_gid, now.st_size) == (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_size,
        )
    assert sorted(path.name for path in target.iterdir()) == ["secret"]


@pytest.mark.parametrize("place", ["loot", "launch-9/stdout.log", "workspace/loot"])
async def test_a_file_of_the_daemon_stays_closed_when_a_link_of_a_program_is_its_last_name(
    data_dir: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = data_dir / "runtara.db-wal"
    secret.write_text("of another tenant")
    secret.chmod(0o600)
    linked = await answer(
        data_dir,
        f"os.makedirs(os.path.dirname({place!r}) or '.', exist_ok=True)\n"
        f"try:\n    os.link({str(secret)!r}, {place!r}); found['linked'] = True\n"
        "except PermissionError: found['linked'] = False",  # where fs.protected_hardlinks is set
    )
    assert linked == {"linked": not int(Path("/proc/sys/fs/protected_hardlinks").read_text())}
    secret.unlink()
    if not linked["linked"]:
        return
    run_directory = data_dir / "t-1" / "runs" / "i-1"
    with pytest.raises(FileNotFoundError):
        read_output(run_directory, 9, "stdout", offset=None, tail_lines=None, limit_bytes=100)
    for epoch, users in ((2, "per-tenant"), (3, "200000-200000")):
        monkeypatch.setenv(VARIABLE, users)
        found = await answer(
            data_dir,
            f"try: found['read'] = open({place!r}).read()\nexcept PermissionError: found['read'] = None",
            epoch=epoch,
        )
        assert found == {"read": None}


async def test_what_lies_deep_is_removed(data_dir: Path) -> None:
    await answer(data_dir, "for _ in range(1200):\n    os.mkdir('deep'); os.chdir('deep')\nos.chmod('.', 0)")
    remove_tree(data_dir / "t-1")
    assert not (data_dir / "t-1").exists()


async def test_a_fork_bomb_is_contained(data_dir: Path) -> None:
    found = await answer(
        data_dir,
        "found['children'] = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0:\n"
        "            signal.pause()\n"
        "        found['children'] += 1\n"
        "except BlockingIOError: pass",
        limits=Limits(processes=24),
    )
    assert 10 < found["children"] < 24


async def test_nothing_outlives_the_reported_end(data_dir: Path) -> None:
    """However fast the processes of a program fork, detach themselves and end."""
    spec = program(data_dir, COMETS, timeout_seconds=1.0, kill_grace_seconds=0.1)
    process = await NativeRunner().launch(spec)
    try:
        assert (await ended(process)).timed_out
        assert not is_alive(spec.run_directory / "comets")
    finally:
        (spec.run_directory / "go").unlink(missing_ok=True)
        await process.stop(0)


async def test_files_of_an_earlier_user_go_on(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who begins to use users loses nothing that programs wrote before."""
    monkeypatch.setenv(VARIABLE, "none")
    code = "os.makedirs('workspace/inner', exist_ok=True); open('workspace/inner/file', 'a').write('x')"
    assert await answer(data_dir, code) == {}
    file = data_dir / "t-1" / "runs" / "i-1" / "workspace" / "inner" / "file"
    assert file.stat().st_uid == 0
    for epoch, users in ((2, "per-tenant"), (3, "200000-200000"), (4, "nobody")):
        monkeypatch.setenv(VARIABLE, users)
        await answer(data_dir, code, epoch=epoch)
        assert file.stat().st_uid == GuestUsers.parse(users).of_tenant("t-1").user_id
    assert file.read_text() == "xxxx"


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("victim", ["pid", "child_pid"], ids=["shim", "program"])
async def test_nothing_survives_a_killed_shim_or_program(data_dir: Path, victim: str) -> None:
    runner = NativeRunner()
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    open('child', 'w').write(str(os.getpid()))\n"
        "else:\n    open('ready', 'w').close()\n"
        "while True: time.sleep(60)"
    )
    spec = program(data_dir, code)
    process = await runner.launch(spec)
    child = spec.run_directory / "child"
    await until(lambda: child.exists() and child.read_text(), "the child runs")
    owner: Mapping[str, Any] = json.loads((spec.run_directory / "launch-1" / "shim.json").read_text())
    os.kill(owner[victim], signal.SIGKILL)
    end = await ended(process)
    assert end.exit_code == (None if victim == "pid" else -signal.SIGKILL)
    for pid in (owner["child_pid"], int(child.read_text())):
        await until(partial(_is_gone, pid), "it is gone")
    adopted = await runner.attach(process.state)
    assert adopted is not None
    assert await ended(adopted) == end


async def test_what_a_reboot_leaves_is_settled(data_dir: Path) -> None:
    """After a reboot the numbers of processes belong to others: nothing of them is touched."""
    runner = NativeRunner()
    process = await runner.launch(program(data_dir, FOREVER))
    directory = data_dir / "t-1" / "runs" / "i-1"
    await until((directory / "ready").exists, "program runs")
    claim = directory / "launch-1" / "shim.json"
    was = claim.read_bytes()
    boot = json.loads(was)["boot_id"]
    claim.write_bytes(was.replace(boot.encode(), b"0" * len(boot)))
    adopted = await runner.attach(process.state | {"boot_id": "0" * len(boot)})
    assert adopted is not None
    assert (await ended(adopted)).exit_code is None
    assert Path(f"/proc/{process.state['pid']}").exists()
    claim.write_bytes(was)
    assert (await process.stop(WAIT_SECONDS)).exit_code == -signal.SIGTERM


async def test_users_that_cannot_work_are_refused_or_left_out_aloud(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    runner = NativeRunner()
    runner.prepare(RunnerHost(closed))
    probe = await runner.probe()
    assert not probe.available
    assert f"cannot enter {closed}" in probe.reason
    with pytest.raises(LaunchError, match="cannot enter"):
        await runner.launch(program(closed, ""))
    monkeypatch.delenv(VARIABLE)
    runner = NativeRunner()
    runner.prepare(RunnerHost(closed))
    assert (await runner.probe()).isolation == "none"
    assert f"cannot enter {closed}" in caplog.text
    monkeypatch.setattr(sys, "executable", guest_python())
    for host, isolation in (
        (RunnerHost(open_directory), "user, one for each tenant"),
        (RunnerHost(open_directory, trusts_programs=True), "none"),
    ):
        runner = NativeRunner()
        runner.prepare(host)
        assert (await runner.probe()).isolation == isolation
    for wrong in ("root", "0", "5-1", "no-such-user"):
        monkeypatch.setenv(VARIABLE, wrong)
        assert VARIABLE in (await NativeRunner().probe()).reason
