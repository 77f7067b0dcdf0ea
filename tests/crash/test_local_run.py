"""`runtara run` killed with all it started, and run again with the same id: it goes on at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(sys.executable).parent
DEADLINE_SECONDS = 120.0

Platform = Any
Service = Any
Losses = Any


def delayed_call(url: str) -> dict[str, Any]:
    """Two calls with a pause between them."""

    def call(path: str) -> dict[str, Any]:
        return {
            "stepType": "Agent",
            "agentId": "http",
            "capabilityId": "request",
            "inputMapping": {
                "url": {"valueType": "immediate", "value": f"{url}{path}"},
                "body": {"valueType": "reference", "value": "data.order"},
            },
        }

    return {
        "name": "Two calls",
        "inputSchema": {"order": {"type": "object", "required": True}},
        "steps": {
            "first": call("/orders"),
            "wait": {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 3000}},
            "second": call("/notify"),
            "finish": {
                "stepType": "Finish",
                "inputMapping": {"done": {"valueType": "reference", "value": "steps.second.outputs.body.order"}},
            },
        },
        "entryPoint": "first",
        "executionPlan": [
            {"fromStep": "first", "toStep": "wait"},
            {"fromStep": "wait", "toStep": "second"},
            {"fromStep": "second", "toStep": "finish"},
        ],
    }


@pytest.mark.parametrize("victims", ["command", "command_and_children"])
async def test_killed_and_run_again(
    own_platform: Platform, service: Service, losses: Losses, tmp_path: Path, victims: str
) -> None:
    scenario = tmp_path / "two-calls.json"
    scenario.write_text(json.dumps(delayed_call(service.url)))
    argv = [str(SCRIPTS / "runtara"), "run", str(scenario), "--input", '{"order": {"id": "A-1"}}']
    argv += ["--instance-id", "run-1", "--tenant", "demo", "--database-url", own_platform.database_url]
    env = {**os.environ, "DATA_DIR": str(own_platform.data_dir), "HOME": str(tmp_path)}

    async def start() -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*argv, env=env, stdout=pipe, stderr=pipe, start_new_session=True)

    async def first_call_is_durable() -> bool:
        assert command.returncode is None, await command.communicate()
        if not Path(own_platform.database_url.removeprefix("sqlite:///")).exists():
            return False
        tables = await own_platform.fetch("SELECT name FROM sqlite_master WHERE name = 'launch_owners'")
        return bool(tables) and len(await own_platform.checkpoints("run-1")) >= 2

    command = await start()
    await own_platform.eventually(first_call_is_durable, "the first call and the pause")
    guest = await own_platform.running_guest("run-1")
    command.send_signal(signal.SIGKILL)
    await command.wait()
    if victims == "command_and_children":
        assert guest.kill_shim()
    # Who waits for the lease of the dead command to end misses the deadline.
    with closing(sqlite3.connect(own_platform.database_url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE instances SET lease_until_ms = lease_until_ms + 3600000")
    again = await start()
    output, progress = await asyncio.wait_for(again.communicate(), DEADLINE_SECONDS)
    assert again.returncode == 0, progress.decode()
    assert json.loads(output) == {"done": "A-1"}
    assert service.counts("/orders") == {"A-1": 1}
    assert service.counts("/notify") == {"A-1": 1}
    assert not guest.program.is_alive
