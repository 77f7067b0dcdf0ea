"""`runtara run`: from a scenario file to its output."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


def order(order_id: str, **changed: Any) -> str:
    return json.dumps({"data": {"order": {"id": order_id, "customer": "Ada", "total": 12, **changed}}})


def accepted(order_id: str) -> dict[str, Any]:
    return {"status": "accepted", "order_id": order_id, "notification": {"notified": "Ada", "order": order_id}}


def hidden_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file() and path.name != ".lock"]


def test_prints_the_output_alone_and_takes_the_second_run_from_the_cache(product, service, order_scenario) -> None:
    first = product.run("runtara", "run", order_scenario, "--input", order("A-1"))
    assert (first.exit_code, first.output) == (0, accepted("A-1")), first
    assert first.errors == []
    assert "completed" in first.stderr
    assert "::agent::http::request::notify" in first.stderr
    assert "from the cache" not in first.stderr

    envelope = product.write("order.json", order("A-2"))
    second = product.run("runtara", "run", order_scenario, "--input", f"@{envelope}", "--json")
    assert second.exit_code == 0, second
    shown = second.output
    assert set(shown) == {"instance_id", "status", "output", "error"}
    assert (shown["status"], shown["output"], shown["error"]) == ("completed", accepted("A-2"), None)
    assert "from the cache" in second.stderr

    assert [service.calls(path, f"A-{n}") for path in ("/validate", "/notify") for n in (1, 2)] == [1, 1, 1, 1]
    assert product.processes() == {}
    assert hidden_files(product.data_dir) == []


def test_the_readme_command_runs_the_example_beside_its_service(product) -> None:
    examples = REPOSITORY / "examples"
    command = ("runtara", "run", examples / "order-processing.json", "--input", f"@{examples / 'order.json'}")
    port = 8780
    finished = product.run("python", examples / "order_service.py", "--port", port, "--", *command)
    if "cannot listen" in finished.stderr:
        pytest.skip("port 8780 is in use")
    assert finished.exit_code == 0, finished
    assert finished.output["status"] == "accepted"
    assert 'calls: {"/validate": 1, "/notify": 1}' in finished.stderr


def test_a_bare_data_object_is_accepted_and_an_invalid_order_takes_the_other_branch(
    product, service, order_scenario
) -> None:
    bare = json.dumps(json.loads(order("B-1", total=0))["data"])
    finished = product.run("runtara", "run", order_scenario, "--input", bare)
    assert finished.exit_code == 0, finished
    assert finished.output == {"status": "rejected", "order_id": "B-1", "reason": "the order has no total"}
    assert (service.calls("/validate"), service.calls("/notify")) == (1, 0)


def test_a_failing_step_ends_with_exit_code_1_and_a_structured_error(product, service, order_scenario) -> None:
    service.answers["/validate"] = (422, {"reason": "unheard of"})
    finished = product.run("runtara", "run", order_scenario, "--input", order("C-1"), "--instance-id", "c-1")
    assert finished.exit_code == 1, finished
    assert finished.stdout == ""
    [line] = finished.errors
    assert line.startswith("error: instance c-1 failed: step 'validate': HTTP 422")
    assert line.endswith("[HTTP_ERROR]")
    assert service.calls("/validate") == 1

    again = product.run("runtara", "run", order_scenario, "--instance-id", "c-1", "--json")
    assert again.exit_code == 1, again
    assert again.output["status"] == "failed"
    error = again.output["error"]
    assert (error["stepId"], error["category"], error["agentId"]) == ("validate", "permanent", "http")
    assert "422" in error["message"]
    assert service.calls("/validate") == 1


def test_a_finished_id_gives_its_output_without_running_again(product, service, order_scenario) -> None:
    arguments = ("runtara", "run", order_scenario, "--input", order("D-1"), "--instance-id", "d-1")
    first = product.run(*arguments)
    second = product.run(*arguments)
    assert first.output == second.output == accepted("D-1")
    assert "had finished before\n" in second.stderr
    assert service.calls("/validate") == service.calls("/notify") == 1

    changed = json.loads(order_scenario.read_text()) | {"description": "another version"}
    changed["steps"]["notify"] |= {"name": "Tell somebody else"}
    order_scenario.write_text(json.dumps(changed))
    third = product.run(*arguments, "--json")
    assert (third.output["output"], third.output["already_finished"]) == (accepted("D-1"), True)
    assert third.output["other_version"].startswith("sha256 ")
    assert (
        f"had finished before, under another version of the scenario ({third.output['other_version']})" in third.stderr
    )


@pytest.mark.parametrize("also_the_instance", [False, True], ids=["the command", "everything"])
def test_killed_in_the_middle_it_goes_on_when_its_id_is_given_again(
    product, service, order_scenario, also_the_instance
) -> None:
    arguments = ("runtara", "run", order_scenario, "--input", order("E-1"), "--instance-id", "e-1")
    service.hold("/notify")
    killed = product.start(*arguments)
    service.wait_for_held("/notify")
    killed.stop(signal.SIGKILL)
    if also_the_instance:
        for pid in product.processes():
            os.kill(pid, signal.SIGKILL)
    service.release("/notify")
    resumed = product.run(*arguments)
    assert (resumed.exit_code, resumed.output) == (0, accepted("E-1")), resumed
    assert "resuming instance e-1, 1 checkpoints done" in resumed.stderr
    assert service.calls("/validate", "E-1") == 1, "the checkpointed step is not repeated"
    assert product.processes() == {}


def test_one_id_runs_on_every_database_of_a_data_directory(product, service, order_scenario) -> None:
    arguments = ("runtara", "run", order_scenario, "--instance-id", "e-4", "--input", order("E-4"))
    assert product.run(*arguments).exit_code == 0
    other = product.run(*arguments, "--database-url", f"sqlite:///{product.directory}/other.db")
    assert (other.exit_code, other.output) == (0, accepted("E-4")), other
    for file in product.data_dir.glob("runtara.db*"):
        file.unlink()
    anew = product.run(*arguments)
    assert (anew.exit_code, anew.output) == (0, accepted("E-4")), anew
    assert service.calls("/notify", "E-4") == 3


def test_an_instance_keeps_the_input_it_was_started_with(product, service, order_scenario) -> None:
    arguments = ("runtara", "run", order_scenario, "--instance-id", "e-2", "--input")
    service.hold("/notify")
    killed = product.start(*arguments, order("E-2"))
    service.wait_for_held("/notify")
    killed.stop(signal.SIGKILL)
    service.release("/notify")
    resumed = product.run(*arguments, order("E-3"))
    assert (resumed.exit_code, resumed.output) == (0, accepted("E-2")), resumed
    assert "the input given now is ignored" in resumed.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_no_process_and_says_how_to_go_on(product, service, order_scenario, number) -> None:
    service.hold("/notify")
    command = product.start("runtara", "run", order_scenario, "--input", order("F-1"))
    service.wait_for_held("/notify")
    finished = command.stop(number)
    assert finished.exit_code == 130, finished
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    [line] = finished.errors
    assert product.processes() == {}
    service.release("/notify")

    resumed = product.run(*shlex.split(line.partition("go on with: ")[2]))
    assert (resumed.exit_code, resumed.output) == (0, accepted("F-1")), resumed
    assert service.calls("/validate", "F-1") == 1


def test_a_failing_service_is_tried_again(product, service, order_scenario) -> None:
    scenario = json.loads(order_scenario.read_text())
    scenario["steps"]["notify"] |= {"maxRetries": 2, "retryDelay": 50}
    service.answers["/notify"] = (503, {"error": "busy"})
    finished = product.run("runtara", "run", product.write("retry.json", scenario), "--input", order("G-1"))
    assert finished.exit_code == 1, finished
    assert service.calls("/notify") == 3
    assert "failed: step 'notify': HTTP 503" in finished.errors[0]
    assert "after 3 attempts [HTTP_SERVICE_UNAVAILABLE]; it may pass" in finished.errors[0]


async def test_keeps_its_state_in_postgresql(product, service, order_scenario, empty_postgres_database_url) -> None:
    arguments = ("runtara", "run", order_scenario, "--input", order("H-1"), "--instance-id", "h-1")
    first = product.run(*arguments, "--database-url", empty_postgres_database_url)
    assert (first.exit_code, first.output) == (0, accepted("H-1")), first
    again = product.run(*arguments, "--database-url", empty_postgres_database_url)
    assert again.output == accepted("H-1")
    assert service.calls("/notify", "H-1") == 1
    assert not (product.data_dir / "runtara.db").exists()


def test_it_takes_the_database_of_the_variable_as_the_daemons_do(product) -> None:
    end = {"name": "End", "steps": {"end": {"stepType": "Finish"}}, "entryPoint": "end"}
    command = ("runtara", "run", product.write("end.json", end), "--instance-id", "h-2")
    product.env["RUNTARA_DATABASE_URL"] = f"sqlite:///{product.directory}/of-the-variable.db"
    first = product.run(*command)
    assert first.exit_code == 0, first
    assert (product.directory / "of-the-variable.db").exists()
    assert not (product.data_dir / "runtara.db").exists()
    elsewhere = product.run(*command, "--database-url", f"sqlite:///{product.directory}/given.db")
    assert "had finished before" not in elsewhere.stderr, "the option comes before the variable"
    again = product.run("runtara", "run", "end.json", "--instance-id", "h-2")
    assert "had finished before" in again.stderr

    product.env["RUNTARA_DATABASE_URL"] = "mysql://localhost/runtara"
    refused, of_dev = product.run(*command), product.run("runtara", "dev")
    assert refused.exit_code == of_dev.exit_code == 2
    assert refused.errors == of_dev.errors
    assert "validating" not in refused.stderr, "it is refused before anything is compiled"


@pytest.mark.native
@pytest.mark.timeout(1500)
def test_runs_a_native_binary(product, service, order_scenario, native_library_dir) -> None:
    variables = {"RUNTARA_NATIVE_LIBRARY_DIR": str(native_library_dir)}
    arguments = ("runtara", "run", order_scenario, "--native", "--input")
    first = product.run(*arguments, order("N-1"), seconds=1400, **variables)
    assert (first.exit_code, first.output) == (0, accepted("N-1")), first
    second = product.run(*arguments, order("N-2"), **variables)
    assert (second.exit_code, second.output) == (0, accepted("N-2")), second
    assert "from the cache" in second.stderr


def test_an_id_of_another_scenario_is_refused(product, service, order_scenario) -> None:
    assert product.run("runtara", "run", order_scenario, "--input", order("W-1"), "--instance-id", "w-1").exit_code == 0
    other = product.write("other.json", {"steps": {"end": {"stepType": "Finish"}}})
    refused = product.run("runtara", "run", other, "--instance-id", "w-1")
    assert (refused.exit_code, refused.stdout) == (2, ""), refused
    [line] = refused.errors
    assert "instance w-1 belongs to the scenario 'orders', not to 'other'" in line


def test_a_changed_scenario_does_not_change_an_instance(product, service, order_scenario) -> None:
    scenario = product.write("changing.json", json.loads(order_scenario.read_text()))
    arguments = ("runtara", "run", scenario, "--input", order("X-1"), "--instance-id", "x-1")
    service.hold("/notify")
    killed = product.start(*arguments)
    service.wait_for_held("/notify")
    killed.stop(signal.SIGKILL)
    service.release("/notify")
    product.write("changing.json", {"steps": {"end": {"stepType": "Finish"}}})
    resumed = product.run(*arguments)
    assert (resumed.exit_code, resumed.output) == (0, accepted("X-1")), resumed
    assert "what was compiled now is not used" in resumed.stderr


def test_progress_is_shown_as_it_happens_and_whole(product, service, order_scenario) -> None:
    scenario = json.loads(order_scenario.read_text())
    scenario["steps"]["say"] = {"stepType": "Log", "level": "warn", "message": "about to notify"}
    scenario["executionPlan"] = [
        edge | {"toStep": "say"} if edge["toStep"] == "notify" else edge for edge in scenario["executionPlan"]
    ] + [{"fromStep": "say", "toStep": "notify"}]
    service.hold("/notify")
    command = product.start("runtara", "run", product.write("log.json", scenario), "--input", order("Y-1"))
    service.wait_for_held("/notify")
    command.wait_for(r"\[warn\] about to notify")
    service.release("/notify")
    finished = command.finish()
    assert finished.exit_code == 0, finished
    assert [line.partition(":")[0] for line in finished.stderr.splitlines() if line.startswith("checkpoint")] == [
        "checkpoint 1",
        "checkpoint 2",
    ]


def test_two_runs_of_one_id_give_one_result(product, service, order_scenario) -> None:
    arguments = ("runtara", "run", order_scenario, "--input", order("T-1"), "--instance-id", "t-1")
    service.hold("/notify")
    first = product.start(*arguments)
    service.wait_for_held("/notify")
    second = product.start(*arguments)
    second.wait_for("resuming instance t-1")
    service.release("/notify")
    assert first.finish().output == second.finish().output == accepted("T-1")
    assert service.calls("/validate") == service.calls("/notify") == 1


def test_an_impatient_second_ctrl_c_cuts_no_end_short(product, service, order_scenario) -> None:
    service.hold("/notify")
    command = product.start("runtara", "run", order_scenario, "--input", order("U-1"), "--instance-id", "u-1")
    service.wait_for_held("/notify")
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        command.send(number)
    finished = command.finish()
    assert finished.exit_code == 130, finished
    assert "Traceback" not in finished.stderr, finished
    assert product.processes() == {}
    service.release("/notify")
    resumed = product.run("runtara", "run", order_scenario, "--instance-id", "u-1")
    assert (resumed.exit_code, resumed.output) == (0, accepted("U-1")), resumed
    assert product.processes() == {}


def test_an_instance_whose_image_is_gone_gets_it_again_or_says_so(product, service, order_scenario) -> None:
    scenario = Path(order_scenario)
    text = scenario.read_text()
    arguments = ("runtara", "run", order_scenario, "--input", order("V-1"), "--instance-id", "v-1")
    service.hold("/notify")
    killed = product.start(*arguments)
    service.wait_for_held("/notify")
    killed.stop(signal.SIGKILL)
    service.release("/notify")
    for image in (product.data_dir / "images").glob("*/"):
        shutil.rmtree(image)
    # Another version of the scenario is not what the instance was started with.
    scenario.write_text(json.dumps({**json.loads(text), "description": "of another version"}))
    refused = product.run(*arguments)
    assert refused.exit_code == 2, refused
    [line] = refused.errors
    assert "image" in line
    assert "another id" in line
    assert "Traceback" not in refused.stderr
    scenario.write_text(text)
    resumed = product.run(*arguments)
    assert resumed.exit_code == 0, resumed
    assert product.processes() == {}
