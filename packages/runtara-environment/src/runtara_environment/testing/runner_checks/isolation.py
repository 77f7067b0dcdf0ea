"""What a program is given, and what it has no part in."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path

import pytest

from runtara_environment.runner import LaunchedProcess, Runner
from runtara_environment.testing.runner_checks.checked_runner import (
    FOREVER,
    READY,
    WAIT_SECONDS,
    CheckedRunner,
    until,
)


class Isolation(CheckedRunner):
    """The checks."""

    async def test_environment_is_the_given_one(
        self, runner: Runner, run_directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DAEMON_SECRET", "s3cret-of-the-daemon")
        code = "import pathlib; print(pathlib.Path('/proc/self/environ').read_text())"
        process = await runner.launch(self.spec(run_directory, code, environment={"GIVEN": "v\u00e4lue"}))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        seen = await process.output_tail("stdout")
        assert "GIVEN=v\u00e4lue" in seen
        assert "DAEMON_SECRET" not in seen
        assert "s3cret" not in json.dumps(process.state)

    async def test_given_environment_is_not_left_on_disk(self, runner: Runner, run_directory: Path) -> None:
        process = await runner.launch(self.spec(run_directory, "pass", environment={"TOKEN": "s3cret-token"}))
        await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        for path in run_directory.rglob("*"):
            assert not path.is_file() or b"s3cret-token" not in path.read_bytes(), path

    async def test_no_descriptors_and_no_standard_input(self, runner: Runner, run_directory: Path) -> None:
        code = "import os, sys; print(sorted(int(n) for n in os.listdir('/proc/self/fd')), repr(sys.stdin.read()))"
        process = await runner.launch(self.spec(run_directory, code))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        assert (await process.output_tail("stdout")).strip() == "[0, 1, 2, 3] ''"  # 3: the listing itself

    async def test_nothing_of_the_daemon_is_inherited(self, runner: Runner, run_directory: Path) -> None:
        with tempfile.TemporaryFile() as file:
            os.set_inheritable(file.fileno(), True)
            code = (
                "import json, os\n"
                "links = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')[:-1]]\n"
                "print(json.dumps([len(links), os.umask(0o077), os.getcwd(), os.getsid(0) == os.getpid()]))"
            )
            process = await runner.launch(self.spec(run_directory, code))
            assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        descriptors, umask, directory, leads_session = json.loads(await process.output_tail("stdout"))
        assert descriptors == 3
        assert umask & 0o002, "what a program makes could be written by everybody"
        assert Path(directory).samefile(run_directory)
        assert leads_session

    async def test_a_program_is_a_stranger_where_the_probe_says_so(
        self, runner: Runner, run_directory: Path, launched: list[LaunchedProcess]
    ) -> None:
        """Of a runner whose isolation begins with `user` or `container`."""
        isolation = (await runner.probe()).isolation
        if isolation.partition(",")[0] not in ("user", "container"):
            return  # it promises nothing
        other_directory = run_directory.with_name("other")
        other = await runner.launch(
            self.spec(other_directory, READY + FOREVER, tenant_id="t-2", environment={"TOKEN": "s3cret"})
        )
        launched.append(other)
        await until((other_directory / "ready").exists, "the other program runs")
        secret = run_directory.with_name("secret")
        secret.write_text("the daemon's")
        secret.chmod(0o600)
        paths = [str(path) for path in (secret, other_directory / "ready", f"/proc/{os.getpid()}/environ")]
        code = (
            "import json, os, pathlib\n"
            "def refuses(call):\n"
            "    try: call()\n"
            "    except OSError: return True\n"
            "    return False\n"
            f"read = {{path: not refuses(pathlib.Path(path).read_bytes) for path in {paths!r}}}\n"
            f"killed = not refuses(lambda: os.kill({os.getpid()}, 0))\n"
            "pathlib.Path('made').touch()\n"
            "print(json.dumps([read, killed, os.geteuid()]))"
        )
        process = await runner.launch(self.spec(run_directory, code))
        end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert end.exit_code == 0, await process.output_tail("stderr")
        read, killed, user = json.loads(await process.output_tail("stdout"))
        assert read == dict.fromkeys(paths, False)
        assert not killed
        assert user != 0
        owners = {path.stat().st_uid for path in (run_directory / "made", other_directory / "ready")}
        assert len(owners) == 2, "two tenants have one user"
        assert os.geteuid() not in owners
