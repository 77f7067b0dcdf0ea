"""Programs that tests run in containers, and what must be left of them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from runtara_environment.runner import LaunchedProcess, LaunchSpec, NetworkMode, ProcessExit
from runtara_environment.runners.oci.runner import OciRunner
from runtara_environment.testing.runner_suite import WAIT_SECONDS

from tests.containers import hierarchy

MEBIBYTE = 1024 * 1024


def python_program(run_directory: Path, code: str, **changes: Any) -> LaunchSpec:
    values: dict[str, Any] = {
        "instance_id": "i-1",
        "tenant_id": "t-1",
        "epoch": 1,
        "argv": (sys.executable, "-I", "-S", "-c", code),
        "environment": {"PATH": "/usr/bin:/bin", "GIVEN": "value"},
        "run_directory": run_directory,
        "network": NetworkMode.NONE,
    }
    return LaunchSpec(**values | changes)


async def ended(process: LaunchedProcess) -> ProcessExit:
    return await asyncio.wait_for(process.wait(), WAIT_SECONDS)


async def answer(run_directory: Path, code: str, **changes: Any) -> dict[str, Any]:
    """What code leaves in the dict `found`."""
    program = f"import json, os, socket\nfound = {{}}\n{code}\nprint(json.dumps(found))"
    process = await OciRunner().launch(python_program(run_directory, program, **changes))
    end = await ended(process)
    assert end.exit_code == 0, (end, await process.output_tail("stderr"))
    found: dict[str, Any] = json.loads(await process.output_tail("stdout", limit_bytes=MEBIBYTE))
    return found


ATTEMPT = """
def attempt(name, call):
    try:
        call()
    except OSError as error:
        found[name] = os.strerror(error.errno) if error.errno else str(error)
    else:
        found[name] = "done"
"""


def assert_nothing_is_left(runner: OciRunner, spec: LaunchSpec) -> None:
    bundle = Path(runner.planned_state(spec)["bundle"])
    assert not bundle.exists()
    group = hierarchy().group(bundle.name)
    assert not [path for path in group.directories.values() if path.exists()]
    assert group.units is None or not group.units.has_scope
