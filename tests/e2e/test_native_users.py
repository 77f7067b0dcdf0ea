"""Daemons of root whose programs are plain processes with users of their own."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from runtara_core.guest_users import GuestUsers
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path

from tests.guests import open_directory as open_directory
from tests.guests import require_root

WAIT_SECONDS = 60


@pytest.fixture
def tmp_path(open_directory: Path) -> Path:
    """The folder of the test, which users of programs can pass."""
    return open_directory


@pytest.mark.privileged
@pytest.mark.native
@pytest.mark.timeout(1500)
async def test_a_program_with_a_user_of_its_own_outlives_a_killed_environment(
    sqlite_daemons, product, service, order_scenario, native_library_dir
) -> None:
    require_root()
    artifact = product.directory / "orders"
    command = ("runtara", "compile", "--workflow", order_scenario, "--tenant", "demo", "--scenario", "orders")
    compiled = await asyncio.to_thread(
        product.run,
        *(*command, "--target", "native", "--output", artifact),
        seconds=1400,
        RUNTARA_NATIVE_LIBRARY_DIR=str(native_library_dir),
    )
    assert compiled.exit_code == 0, compiled
    daemons = sqlite_daemons(
        RUNTARA_NATIVE_USER="per-tenant",
        RUNTARA_RUNNER="native",
        RUNTARA_CORE_ADDR=format_local_address(socket_path(product.data_dir, CORE_SOCKET)),
    )
    assert "isolated by: user, one for each tenant" in daemons.environment.said()
    service.hold("/notify")
    order = {"order": {"id": "N-1", "customer": "Ada", "total": 1}}
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream("demo", "orders", artifact)
        started = await sdk.start_instance(image.image_id, "demo", input_envelope={"data": order, "variables": {}})
        await asyncio.to_thread(service.wait_for_held, "/notify")
    user = GuestUsers().of_tenant("demo").user_id
    programs = programs_of(user, product)
    assert len(programs) == 1
    await asyncio.to_thread(daemons.environment.stop, signal.SIGKILL)
    daemons.start_environment()
    assert programs_of(user, product) == programs
    service.release("/notify")
    async with daemons.sdk() as sdk:
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
    assert ended.output["status"] == "accepted", json.dumps(ended.output)
    assert service.calls("/notify", "N-1") == 1
    modes = {path.name: path.stat().st_mode & 0o777 for path in product.data_dir.iterdir()}
    assert modes["tls"] == modes["demo"] == modes[".sockets"] == 0o711
    assert modes["host-id"] & 0o077 == 0
    assert product.data_dir.stat().st_mode & 0o777 == 0o711
    daemons.stop()


def programs_of(user: int, product) -> list[int]:
    """Processes of the test that run as a user."""
    return [pid for pid in product.processes() if Path(f"/proc/{pid}").stat().st_uid == user]
