"""Programs of one machine find each other by the data directory: no address is given, no port is opened in between."""

from __future__ import annotations

import os
import signal

import pytest

_PROGRAM = """#!/usr/bin/env python3
import asyncio, os, sys
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        await sdk.checkpoint("first", b"1")
        await sdk.durable_sleep(float(os.environ.get("REST_SECONDS", "0")), checkpoint_id="rest")
        heavy = ("aioquic", "qh3", "cryptography", "OpenSSL", "runtara_sdk.transport.quic")
        await sdk.completed({
            "address": os.environ["RUNTARA_SERVER_ADDR"],
            "heavy": [name for name in heavy if name in sys.modules],
        })

asyncio.run(main())
"""


def register(product) -> str:
    return product.ctl(
        "register", "--binary", product.write("program.py", _PROGRAM), "--tenant", "demo", "--name", "program"
    )


def ended(product, image_id: str) -> dict:
    instance_id = product.ctl("start", "--image", image_id, "--tenant", "demo")
    return product.ctl("wait", instance_id, "--poll", 50, "--timeout", 60)


def test_daemons_commands_and_programs_meet_on_local_sockets(product) -> None:
    product.env["RUNTARA_DATABASE_URL"] = f"sqlite:///{product.data_dir}/runtara.db"
    product.data_dir.mkdir()
    core = product.start("runtara", "core", "--port", "0", "--admin-port", "0")
    core.wait_for("core serves instances on 127")
    environment = product.start("runtara", "environment", "--port", "0")
    environment.wait_for("environment serves on")
    sockets = product.data_dir / ".sockets"
    # The users of programs pass the directory of a core of root, and find one open socket there.
    is_root = os.geteuid() == 0
    assert sockets.stat().st_mode & 0o777 == (0o711 if is_root else 0o700)
    open_to_others = {path.name for path in sockets.glob("*.sock") if path.stat().st_mode & 0o006}
    assert open_to_others == ({"core.sock"} if is_root else set())

    image_id = register(product)
    completed = ended(product, image_id)
    assert completed["status"] == "completed", completed
    assert completed["output"] == {"address": f"unix://{sockets}/core.sock", "heavy": []}

    # Killed, core leaves its socket behind; the next one takes the place, and nobody has to be told.
    core.stop(signal.SIGKILL)
    core = product.start("runtara", "core", "--port", "0", "--admin-port", "0")
    core.wait_for("core serves instances on 127")
    assert ended(product, image_id)["status"] == "completed"
    assert environment.stop().exit_code == 0
    assert core.stop().exit_code == 0
    # What containers have mounted waits for the next core.
    assert list(sockets.rglob("*")) == [sockets / "core.sock.guests"]


def test_a_development_daemon_opens_no_port_unless_asked(product) -> None:
    served = product.start("runtara", "dev")
    address = served.wait_for(r"the environment serves on (\S+);")[1]
    assert address == f"unix://{product.data_dir}/.sockets/environment.sock"
    assert not (product.data_dir / "tls").exists()
    assert ended(product, register(product))["output"]["heavy"] == []
    assert served.stop().exit_code == 0


@pytest.mark.parametrize("name", ["core", "environment"])
def test_an_address_that_no_socket_can_have_is_told(product, name: str) -> None:
    product.env["RUNTARA_DATABASE_URL"] = "sqlite:///x.db"
    refused = product.run("runtara-ctl", "health", RUNTARA_ENVIRONMENT_ADDR=f"unix:///{'x' * 120}/{name}.sock")
    assert refused.exit_code == 2
    assert "choose a directory with a shorter path" in refused.stderr
