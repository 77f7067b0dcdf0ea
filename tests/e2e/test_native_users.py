"""Daemons of root whose programs are plain processes with users of their own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runtara_core.guest_users import GuestUsers
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path

from tests.guests import guest_python, require_root
from tests.guests import open_directory as open_directory

BATCH = Path(__file__).parents[2] / "examples" / "durable_batch.py"
WAIT_SECONDS = 60

WHO = {
    "name": "Whose file it is",
    "entryPoint": "write",
    "steps": {
        "write": {
            "id": "write",
            "stepType": "Agent",
            "agentId": "file",
            "capabilityId": "file-write-file",
            "inputMapping": {
                "path": {"valueType": "immediate", "value": "greeting.txt"},
                "data": {"valueType": "immediate", "value": "written"},
            },
        },
        "done": {
            "id": "done",
            "stepType": "Finish",
            "inputMapping": {"bytes": {"valueType": "reference", "value": "steps.write.outputs.bytes_written"}},
        },
    },
    "executionPlan": [{"fromStep": "write", "toStep": "done"}],
}


@pytest.fixture
def tmp_path(open_directory: Path) -> Path:
    """The folder of the test, which users of programs can pass."""
    return open_directory


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """The example as a program that such users can execute; skips where they cannot read its libraries."""
    require_root()
    user = GuestUsers().of_tenant("demo")
    paths = [path for path in sys.path if "packages" in path]
    find = f"import sys; sys.path[:0] = {paths!r}; "
    command = (guest_python(), "-I", "-c", find + "import runtara_sdk")
    if subprocess.run(command, user=user.user_id, group=user.group_id, extra_groups=[], cwd="/").returncode != 0:
        pytest.skip("the libraries of the tests cannot be read by other users than root")
    program = tmp_path / "batch"
    text = BATCH.read_text(encoding="utf-8").replace("from __future__ import annotations\n", find + "\n")
    program.write_text(f"#!{guest_python()}\n{text}", encoding="utf-8")
    return program


@pytest.mark.privileged
async def test_a_program_with_a_user_of_its_own_outlives_a_killed_environment(
    batch, sqlite_daemons, product, service
) -> None:
    daemons = sqlite_daemons(
        RUNTARA_NATIVE_USER="per-tenant",
        RUNTARA_RUNNER="native",
        RUNTARA_CORE_ADDR=format_local_address(socket_path(product.data_dir, CORE_SOCKET)),
    )
    assert "isolated by: user, one for each tenant" in daemons.environment.said()
    service.hold("/orders")
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream("demo", "batch", batch)
        envelope = {"orders": 3, "service": service.url, "rest_seconds": 0.01}
        started = await sdk.start_instance(image.image_id, "demo", input_envelope=envelope)
        await asyncio.to_thread(service.wait_for_held, "/orders")
    user = GuestUsers().of_tenant("demo").user_id
    programs = programs_of(user, product)
    assert len(programs) == 1
    await asyncio.to_thread(daemons.environment.stop, signal.SIGKILL)
    daemons.start_environment()
    assert programs_of(user, product) == programs
    service.release("/orders")
    async with daemons.sdk() as sdk:
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
    assert ended.output == {"processed": 3}
    assert [service.calls("/orders", f"order-{number}") for number in range(3)] == [1] * 3
    modes = {path.name: path.stat().st_mode & 0o777 for path in product.data_dir.iterdir()}
    assert modes["tls"] == modes["demo"] == modes[".sockets"] == 0o711
    assert modes["host-id"] & 0o077 == 0
    assert product.data_dir.stat().st_mode & 0o777 == 0o711
    daemons.stop()


@pytest.mark.privileged
@pytest.mark.native
@pytest.mark.timeout(1500)
def test_a_native_binary_runs_as_the_user_of_its_tenant(product, native_library_dir) -> None:
    """It needs no Python of the host, so it runs also where such users cannot execute the daemon's."""
    require_root()
    scenario = product.write("total.json", WHO)
    variables = {"RUNTARA_NATIVE_LIBRARY_DIR": str(native_library_dir), "RUNTARA_NATIVE_USER": "per-tenant"}
    command = ("runtara", "run", scenario, "--native", "--runner", "native", "--tenant", "demo", "--input", "{}")
    finished = product.run(*command, seconds=1400, **variables)
    assert (finished.exit_code, finished.output) == (0, {"bytes": 7}), finished
    assert "isolation: none" not in finished.stderr
    user = GuestUsers().of_tenant("demo").user_id
    [written] = product.data_dir.glob("demo/runs/*/workspace/greeting.txt")
    assert (written.stat().st_uid, written.read_text()) == (user, "written")
    assert (product.data_dir / ".guest-users" / str(user)).exists()


def programs_of(user: int, product) -> list[int]:
    """Processes of the test that run as a user."""
    return [pid for pid in product.processes() if Path(f"/proc/{pid}").stat().st_uid == user]
