"""Workflows in containers, as users and operators run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.runner import MEBIBYTE
from runtara_environment.runners.oci.runner import guest_user
from runtara_environment.testing.runner_suite import until
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.management import ResourceLimits
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path

from tests.containers import container_runtime as container_runtime
from tests.containers import left_of_containers, with_both_runtimes
from tests.e2e.conftest import wait_until

BATCH = Path(__file__).parents[2] / "examples" / "durable_batch.py"
BOUNDED = Path(__file__).parent / "fixtures" / "bounded_program.py"
WAIT_SECONDS = 60

TOTAL = {
    "name": "Total of an order",
    "entryPoint": "wait",
    "steps": {
        "wait": {"id": "wait", "stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 10}},
        "done": {
            "id": "done",
            "stepType": "Finish",
            "inputMapping": {"total": {"valueType": "reference", "value": "data.total"}},
        },
    },
    "executionPlan": [{"fromStep": "wait", "toStep": "done"}],
}


def test_a_run_in_a_container_reaches_core_without_a_network(product, container_runtime) -> None:
    scenario = product.write("total.json", TOTAL)
    finished = product.run(
        "runtara", "run", scenario, "--runner", "oci", "--input", '{"total": 12}', RUNTARA_OCI_RUNTIME=container_runtime
    )
    assert (finished.exit_code, finished.output) == (0, {"total": 12}), finished
    assert "isolation: none" not in finished.stderr
    assert product.processes() == {}
    assert list((product.data_dir / "bundles").iterdir()) == []


@pytest.mark.native
@pytest.mark.timeout(1500)
def test_a_native_binary_runs_in_a_container(product, container_runtime, native_library_dir) -> None:
    scenario = product.write("total.json", TOTAL)
    variables = {"RUNTARA_OCI_RUNTIME": container_runtime, "RUNTARA_NATIVE_LIBRARY_DIR": str(native_library_dir)}
    command = ("runtara", "run", scenario, "--native", "--runner", "oci", "--input", '{"total": 12}')
    finished = product.run(*command, seconds=1400, **variables)
    assert (finished.exit_code, finished.output) == (0, {"total": 12}), finished


def test_a_run_in_a_container_calls_services_where_the_operator_allows_it(
    product, service, order_scenario, container_runtime
) -> None:
    order = json.dumps({"order": {"id": "N-1", "customer": "Ada", "total": 1}})
    command = ("runtara", "run", order_scenario, "--input", order)
    host = {"RUNTARA_OCI_RUNTIME": container_runtime, "RUNTARA_NETWORK_MODE": "host"}
    finished = product.run(*command, **host)  # `auto` prefers containers where a network mode is set
    assert finished.exit_code == 0, finished
    assert finished.output["status"] == "accepted"
    assert "isolation: none" not in finished.stderr
    assert service.calls("/notify", "N-1") == 1


def test_a_run_in_a_container_is_taken_over_by_no_plain_process(
    product, service, order_scenario, container_runtime
) -> None:
    product.env |= {"RUNTARA_OCI_RUNTIME": container_runtime, "RUNTARA_NETWORK_MODE": "host"}
    order = json.dumps({"order": {"id": "T-1", "customer": "Ada", "total": 1}})
    command = ("runtara", "run", order_scenario, "--instance-id", "t-1", "--input", order)
    service.hold("/notify")
    run = product.start(*command, "--runner", "oci")
    service.wait_for_held("/notify")
    stopped = run.stop(signal.SIGINT)
    assert stopped.exit_code == 130, stopped
    assert "--runner oci" in stopped.errors[-1]
    assert product.processes() == {}

    refused = product.run(*command, "--runner", "native")
    assert refused.exit_code == 2, refused
    assert "give --runner oci instead of native" in refused.errors[-1]
    away = product.run(*command, RUNTARA_RUNNER="native", RUNTARA_IMAGE_RUNNERS="native")
    assert away.exit_code == 2, away
    assert "goes on with the runner oci alone" in away.errors[-1]

    calls = service.calls("/notify", "T-1")
    served = product.start("runtara", "dev", RUNTARA_RUNNER="native")
    wait_until(lambda: service.calls("/notify", "T-1") > calls, "the call after the take-over")
    assert len(programs_of(guest_user("default"), product)) == 1
    service.release("/notify")
    ended = product.run(*command, RUNTARA_RUNNER="native")
    assert ended.exit_code == 0, ended
    assert served.stop().exit_code == 0

    # The image of the run names no runner for those that come after it.
    fresh = product.run(
        "runtara", "run", order_scenario, "--input", order, RUNTARA_RUNNER="auto", RUNTARA_NETWORK_MODE=""
    )
    assert fresh.exit_code == 0, fresh
    assert "isolation: none" in fresh.stderr


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RUNTARA_OCI_RUNTIME": "/does/not/exist"}, "there is no program /does/not/exist"),
        (
            {"RUNTARA_NETWORK_MODE": "pasta", "RUNTARA_PASTA_DNS": "192.0.2.53, 127.0.0.53"},
            "RUNTARA_PASTA_DNS: containers cannot reach 127.0.0.53",
        ),
        (
            {"RUNTARA_NETWORK_MODE": "pasta", "PATH": f"{Path(sys.executable).parent}"},
            "RUNTARA_NETWORK_MODE=pasta does not work with runner oci: there is no program pasta: install passt",
        ),
    ],
)
def test_containers_that_cannot_be_made_are_refused(product, container_runtime, variables, message) -> None:
    scenario = product.write("total.json", TOTAL)
    runtime = str(shutil.which(container_runtime))
    finished = product.run(
        "runtara", "run", scenario, "--runner", "oci", **{"RUNTARA_OCI_RUNTIME": runtime, **variables}
    )
    assert finished.exit_code == 2, finished
    [line] = finished.errors
    assert message in line


@with_both_runtimes
async def test_a_killed_environment_adopts_its_containers(sqlite_daemons, product, service, container_runtime) -> None:
    daemons = sqlite_daemons(
        RUNTARA_OCI_RUNTIME=container_runtime,
        RUNTARA_RUNNER="oci",
        RUNTARA_NETWORK_MODE="host",
        RUNTARA_CORE_ADDR=format_local_address(socket_path(product.data_dir, CORE_SOCKET)),
    )
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream("demo", "batch", BATCH)
        service.hold("/orders")
        envelope = {"orders": 3, "service": service.url, "rest_seconds": 0.01}
        started = await sdk.start_instance(image.image_id, "demo", input_envelope=envelope)
        await asyncio.to_thread(service.wait_for_held, "/orders")
        [program] = programs_of(guest_user("demo"), product)
    await asyncio.to_thread(daemons.environment.stop, signal.SIGKILL)
    daemons.start_environment()
    assert programs_of(guest_user("demo"), product) == [program]
    service.release("/orders")
    async with daemons.sdk() as sdk:
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert ended.output == {"processed": 3}
    assert [service.calls("/orders", f"order-{n}") for n in range(3)] == [1] * 3
    await product.wait_for_no_guest(started.instance_id)
    daemons.stop()
    assert list((product.data_dir / "bundles").iterdir()) == []


WAITS = """#!/usr/bin/env python3
import asyncio, os, pathlib
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        await sdk.checkpoint("before", b"1")
        pathlib.Path("begun").touch()
        while not pathlib.Path("go-on").exists():
            await asyncio.sleep(0.02)
        await sdk.checkpoint("after", b"2")
        await sdk.completed({"ran": True})

asyncio.run(main())
"""


@pytest.mark.parametrize("network", ["none", "pasta"])
async def test_a_container_goes_on_with_a_core_that_was_killed_and_started_anew(
    sqlite_daemons, product, container_runtime, network
) -> None:
    variables = {"RUNTARA_OCI_RUNTIME": container_runtime, "RUNTARA_RUNNER": "oci", "RUNTARA_NETWORK_MODE": network}
    if network == "none":  # with pasta core is reached at its port
        variables["RUNTARA_CORE_ADDR"] = format_local_address(socket_path(product.data_dir, CORE_SOCKET))
    daemons = sqlite_daemons(**variables)
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream("demo", "waits", product.write("waits.py", WAITS))
        instance_id = (await sdk.start_instance(image.image_id, "demo")).instance_id

        begun = f"demo/runs*/{instance_id}/begun"
        [mark] = await until(lambda: list(product.data_dir.glob(begun)), "the first checkpoint")
        [program] = programs_of(guest_user("demo"), product)
        await asyncio.to_thread(daemons.core.stop, signal.SIGKILL)
        daemons.core = product.start("runtara-core")
        daemons.core.wait_for("serves")
        assert programs_of(guest_user("demo"), product) == [program]
        mark.with_name("go-on").touch()
        ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (ended.output, ended.epoch) == ({"ran": True}, 1)
    await product.wait_for_no_guest(instance_id)
    daemons.stop()
    assert product.processes() == {}


async def test_the_next_daemons_settle_what_a_wipe_of_all_processes_has_left(
    sqlite_daemons, product, container_runtime
) -> None:
    """As after a loss of power: daemons, shims, runtimes, pasta and programs are gone at once."""
    daemons = sqlite_daemons(RUNTARA_OCI_RUNTIME=container_runtime, RUNTARA_RUNNER="oci", RUNTARA_NETWORK_MODE="pasta")
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream("demo", "waits", product.write("waits.py", WAITS))
        instance_id = (await sdk.start_instance(image.image_id, "demo")).instance_id
        begun = f"demo/runs*/{instance_id}/begun"
        [mark] = await until(lambda: list(product.data_dir.glob(begun)), "the first checkpoint")
    daemons.environment.send(signal.SIGSTOP)  # which sees nothing of it
    victims = product.processes()
    assert any("pasta" in line for line in victims.values())
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for daemon in (daemons.environment, daemons.core):
        await asyncio.to_thread(daemon.stop, signal.SIGKILL)
    mark.with_name("go-on").touch()
    daemons.start()
    async with daemons.sdk() as sdk:
        ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (ended.output, ended.epoch) == ({"ran": True}, 2)
    await product.wait_for_no_guest(instance_id)
    daemons.stop()
    assert product.processes() == {}
    assert left_of_containers(product.data_dir) == []


async def test_image_and_start_choose_the_runner_and_the_limits(sqlite_daemons, product, container_runtime) -> None:
    core = format_local_address(socket_path(product.data_dir, CORE_SOCKET))
    daemons = sqlite_daemons(
        RUNTARA_OCI_RUNTIME=container_runtime,
        RUNTARA_RUNNER="native",
        RUNTARA_CORE_ADDR=core,
        RUNTARA_MAX_MEMORY_BYTES=str(256 * MEBIBYTE),
        RUNTARA_DEFAULT_TMP_BYTES=str(8 * MEBIBYTE),
    )
    async with daemons.sdk() as sdk:
        limits = ResourceLimits(memory_bytes=64 * MEBIBYTE, cpu_cores=2, open_files=200)
        image = await sdk.register_image_stream("demo", "bounded", BOUNDED, runner="oci", limits=limits)
        plain = await sdk.register_image_stream("demo", "plain", BOUNDED)
        assert (await sdk.get_image(image.image_id, "demo")).limits == limits

        more = ResourceLimits(open_files=300)
        bounded = await sdk.start_instance(image.image_id, "demo", input_envelope={"eat": False}, limits=more)
        eating = await sdk.start_instance(image.image_id, "demo", input_envelope={"eat": True})
        free = await sdk.start_instance(plain.image_id, "demo", input_envelope={"eat": False})
        for refused, message in (
            (ResourceLimits(memory_bytes=512 * MEBIBYTE), "allows at most 256 MiB"),
            (ResourceLimits(cpu_cores=1), "the runner native cannot enforce it .needs a cgroup"),
        ):
            with pytest.raises(InvalidInputError, match=message):
                await sdk.start_instance(plain.image_id, "demo", limits=refused)

        ended = await sdk.wait_for_completion(bounded.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert ended.output == {"in_container": True, "open_files": 300, "tmp_bytes": 8 * MEBIBYTE}
        assert (ended.runner, ended.limits) == ("oci", more.over(limits))
        unbounded = await sdk.wait_for_completion(free.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert not unbounded.output["in_container"]
        assert (unbounded.runner, unbounded.limits) == (None, ResourceLimits())
        # The instance ends with its event; what its process has used comes with its exit.
        for instance_id in (bounded.instance_id, free.instance_id):
            used = await answer_that(partial(sdk.get_instance_status, instance_id), lambda info: info.cpu_usage_usec)
            assert 5 * MEBIBYTE < used.memory_peak_bytes <= 64 * MEBIBYTE

        starved = await answer_that(lambda: sdk.get_instance_status(eating.instance_id), lambda info: info.stderr)
        assert starved.stderr.endswith(
            "it needed more memory than 64 MiB: start it with a larger limit "
            "(runtara-ctl start --memory), or register its image with one and fork it"
        )
        assert 50 * MEBIBYTE < starved.memory_peak_bytes <= 65 * MEBIBYTE
        await sdk.cancel_instance(eating.instance_id)


async def answer_that(ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], object]) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds(answer := await ask()):
            await asyncio.sleep(0.05)
        return answer


def programs_of(user: int, product) -> list[int]:
    """The processes of a test that run as a user of containers."""
    return [pid for pid in product.processes() if Path(f"/proc/{pid}").stat().st_uid == user]
