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


@pytest.mark.parametrize(
    "command",
    [("runtara", "dev", "--port", "0", "--core-port", "0"), ("runtara", "run", "good.json"), ("runtara", "core")],
)
@pytest.mark.parametrize(
    ("variable", "value"),
    [("RUNTARA_DB_CLEANUP_MAX_AGE_DAYS", "0"), ("RUNTARA_MAX_CONCURRENT_INSTANCES", "many")],
)
def test_every_way_to_start_reports_a_wrong_setting(product, command, variable, value) -> None:
    scenario = {"name": "Done", "steps": {"end": {"stepType": "Finish"}}, "entryPoint": "end"}
    product.write("good.json", scenario)
    product.env |= {variable: value, "RUNTARA_DATABASE_URL": f"sqlite:///{product.directory}/runtara.db"}
    finished = product.run(*command)
    assert (finished.exit_code, finished.stdout) == (2, "")
    assert f"{variable}='{value}'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_limit_of_running_instances_holds_here_too(product, service) -> None:
    product.env["RUNTARA_MAX_CONCURRENT_INSTANCES"] = "1"
    served = product.start("runtara", "dev", "--port", "0", "--core-port", "0")
    product.env["RUNTARA_ENVIRONMENT_ADDR"] = served.wait_for(r"the environment serves on (127\.0\.0\.1:\d+)")[1]
    image_id = product.ctl("register", "--binary", BATCH, "--tenant", "demo", "--name", "batch")
    service.hold("/orders")
    batch = json.dumps({"orders": 1, "service": service.url, "rest_seconds": 0.01})
    ids = [product.ctl("start", "--image", image_id, "--tenant", "demo", "--input", batch) for _ in range(3)]
    service.wait_for_held("/orders")
    assert product.ctl("list-instances", "--status", "running")["total_count"] == 1
    service.release("/orders")
    for instance_id in ids:
        assert product.ctl("wait", instance_id, "--poll", 50, "--timeout", 60)["status"] == "completed"


def test_a_data_directory_has_one_environment(product) -> None:
    served = product.start("runtara", "dev", "--port", "0", "--core-port", "0")
    served.wait_for(r"the environment serves on (127\.0\.0\.1:\d+)")
    refused = product.run("runtara", "dev", "--port", "0", "--core-port", "0")
    assert refused.exit_code == 2
    assert "belongs to another environment that runs: process " in refused.stderr
    assert "DATA_DIR" in refused.stderr
    product.env["RUNTARA_DATABASE_URL"] = f"sqlite:///{product.directory}/.data/runtara.db"
    refused = product.run("runtara", "environment")
    assert refused.exit_code != 0
