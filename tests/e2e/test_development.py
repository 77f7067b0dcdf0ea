"""`runtara dev`: core and environment in one process."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

BATCH = Path(__file__).parents[2] / "examples" / "durable_batch.py"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_operators_and_ends_with_all_its_processes(product, service, number) -> None:
    command = ("runtara", "dev", "--port", "0", "--core-port", "0")
    served = product.start(*command)
    address = served.wait_for(r"the environment serves on (127\.0\.0\.1:\d+)")[1]
    product.env["RUNTARA_ENVIRONMENT_ADDR"] = address

    image_id = product.ctl("register", "--binary", BATCH, "--tenant", "demo", "--name", "batch")
    service.hold("/orders")
    batch = json.dumps({"orders": 3, "service": service.url, "rest_seconds": 0.01})
    start = ("start", "--image", image_id, "--tenant", "demo", "--input", batch)
    instance_id = product.ctl(*start)
    service.wait_for_held("/orders")
    assert product.ctl("health")["active_instances"] == 1

    served.send(number)
    finished = served.stop(number)
    assert finished.exit_code == 0, finished
    assert "Traceback" not in finished.stderr
    assert product.processes() == {}
    service.release("/orders")

    again = product.start(*command)
    product.env["RUNTARA_ENVIRONMENT_ADDR"] = again.wait_for(r"the environment serves on (127\.0\.0\.1:\d+)")[1]
    ended = product.ctl("wait", instance_id, "--poll", 50, "--timeout", 60)
    assert (ended["status"], ended["output"]) == ("completed", {"processed": 3})
    assert again.stop().exit_code == 0
    assert product.processes() == {}
