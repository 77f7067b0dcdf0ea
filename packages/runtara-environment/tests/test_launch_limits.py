"""Limits and runners of images and starts, up to the launch; and what is told of a launch that ran out of memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runtara_core.models import Instance
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.launch_rules import LaunchRules
from runtara_environment.limit_policy import LimitPolicy
from runtara_environment.runner import Capability, Limits, NetworkMode, Runner, RunnerProbe
from runtara_environment.runners.available import AvailableRunners, ReadyRunner, RunnerUnavailableError
from runtara_environment.runners.loading import LoadedRunners
from runtara_environment.testing.mock_runner import MockRunner
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import InstanceStatus, TerminationReason
from runtara_sdk.resource_limits import ResourceLimits
from runtara_sdk.testing.clock import ManualClock

MEBIBYTE = 2**20


class Containers(MockRunner):
    """A runner that bounds memory alone, and works when told to."""

    runner_type = "oci"
    default_limits = Limits(memory_bytes=512 * MEBIBYTE)

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""
        self.probes = 0

    async def probe(self) -> RunnerProbe:
        self.probes += 1
        capabilities = {"memory_limit": Capability(True), "network_none": Capability(True)}
        return RunnerProbe(not self.reason, "container", capabilities, self.reason)


def available(*others: Runner, nameable: tuple[str, ...] = ("oci",), clock: ManualClock | None = None) -> Any:
    own = MockRunner()
    installed = LoadedRunners({runner.runner_type: runner for runner in (own, *others)}, ())
    ready = ReadyRunner(own, RunnerProbe(True, "mock"), NetworkMode.HOST)
    address = "unix:///core.sock"
    return AvailableRunners(installed, ready, clock or ManualClock(), core_address=address, nameable=nameable)


async def test_an_image_gets_the_runner_that_it_names_and_no_other() -> None:
    containers, clock = Containers(), ManualClock()
    runners = available(containers, clock=clock)
    assert (await runners.get(None)).name == (await runners.get("mock")).name == "mock"
    containers.reason = "runc is not installed"
    for _ in range(3):
        with pytest.raises(RunnerUnavailableError, match=r"the runner oci was asked for: .* runc is not installed"):
            await runners.get("oci")
    assert containers.probes == 1
    containers.reason = ""
    clock.advance(10_000)
    ready = await runners.get("oci")
    assert (ready.runner, ready.network) == (containers, NetworkMode.NONE)


async def test_only_runners_that_the_operator_allows_can_be_named() -> None:
    runners = available(Containers(), nameable=())
    with pytest.raises(RunnerUnavailableError, match="list it in RUNTARA_IMAGE_RUNNERS"):
        await runners.get("oci")
    with pytest.raises(
        RunnerUnavailableError, match="wasm that was asked for is not installed here: installed are mock"
    ):
        await runners.get("wasm")
    with pytest.raises(RunnerUnavailableError, match="there is no runner 'other': installed are mock"):
        await available(nameable=("other",)).get("other")


async def test_a_runner_without_the_network_that_the_operator_wants_is_not_taken() -> None:
    containers = Containers()
    own = ReadyRunner(MockRunner(), RunnerProbe(True, "mock"), NetworkMode.PASTA)
    installed = LoadedRunners({"oci": containers}, ())
    runners = AvailableRunners(installed, own, ManualClock(), network=NetworkMode.PASTA)
    with pytest.raises(RunnerUnavailableError, match="RUNTARA_NETWORK_MODE=pasta does not work with runner oci"):
        await runners.get("oci")


async def test_what_a_runner_cannot_enforce_is_refused_where_it_works_and_left_to_others_elsewhere() -> None:
    rules = LaunchRules(LimitPolicy(), available(Containers()))
    await rules.require_acceptable(ResourceLimits(memory_bytes=64 * MEBIBYTE), "oci")
    with pytest.raises(InvalidInputError, match=r"limits.cpu_cores is 2, and the runner oci cannot.*leave it out"):
        await rules.require_acceptable(ResourceLimits(cpu_cores=2), "oci")
    with pytest.raises(InvalidInputError, match="runner mock cannot"):
        await rules.require_acceptable(ResourceLimits(memory_bytes=64 * MEBIBYTE), None)
    await rules.require_acceptable(ResourceLimits(cpu_cores=2), "another")


async def test_whoever_names_a_runner_that_does_not_work_here_is_warned() -> None:
    rules = LaunchRules(LimitPolicy(), available(Containers()))
    assert await rules.warning(None) is None
    assert await rules.warning("oci") is None
    warning = await rules.warning("ocl")
    assert warning is not None
    assert warning == (
        "its instances wait for another environment: the runner ocl that was asked for is not installed here: "
        "installed are mock, oci"
    )


def test_options_keep_limits_of_start_and_image_apart() -> None:
    options = LaunchOptions(
        "digest", limits=ResourceLimits(cpu_cores=2), image_limits=ResourceLimits(2**30, 1), runner="oci"
    )
    assert LaunchOptions.decode(options.encode()) == options
    assert options.asked_limits == ResourceLimits(2**30, 2)
    with pytest.raises(InvalidInputError, match=r"image_limits.processes is 'x'"):
        LaunchOptions.decode(b'{"digest": "d", "image_limits": {"processes": "x"}}')
    with pytest.raises(InvalidInputError, match="runner is not text"):
        LaunchOptions.decode(b'{"digest": "d", "runner": 1}')


async def test_an_image_keeps_what_it_was_registered_with_last(host: SupervisedHost) -> None:
    limits = ResourceLimits(memory_bytes=2**30)
    for runner, asked in (("oci", limits), (None, ResourceLimits())):
        image = await host.registry.register(
            tenant_id=TENANT, name="bounded", artifact=b"#!/bin/sh\n", runner=runner, limits=asked
        )
        assert (image.runner, image.limits) == (runner, asked)
        assert await host.registry.get(image.image_id, TENANT) == image
    with pytest.raises(InvalidInputError, match=r"limits.memory_bytes is 5 bytes"):
        await host.registry.register(
            tenant_id=TENANT, name="bounded", artifact=b"#!/bin/sh\n", limits=ResourceLimits(memory_bytes=5)
        )


async def test_every_launch_has_the_limits_and_running_out_of_memory_fails_with_them(host: SupervisedHost) -> None:
    containers = Containers()
    host.use(containers)
    await host.create(limits=ResourceLimits(memory_bytes=64 * MEBIBYTE), runner="oci")
    await host.supervise()
    for epoch in range(1, 7):
        process = await host.launched(epoch=epoch, advance_ms=1_000)
        assert process.spec.limits == Limits(memory_bytes=64 * MEBIBYTE)
        process.end(-9, out_of_memory=True, memory_peak_bytes=64 * MEBIBYTE, cpu_usage_usec=10)
    instance = await host.settled(InstanceStatus.FAILED)
    assert instance.termination_reason is TerminationReason.OUT_OF_MEMORY
    assert (instance.memory_peak_bytes, instance.cpu_usage_usec) == (64 * MEBIBYTE, 60)
    assert instance.error == (
        "the program ran out of memory and was killed: it needed more memory than 64 MiB: start it with a larger limit "
        "(runtara-ctl start --memory), or register its image with one and fork it; launched again 5 times in a row "
        "without a new checkpoint"
    )


async def test_an_instance_waits_for_the_runner_of_its_image(host: SupervisedHost, tmp_path: Path) -> None:
    containers = Containers()
    containers.reason = "runc is not installed"
    host.use(containers)
    await host.create(runner="oci")
    await host.supervise()

    async def waits() -> Instance | None:
        instance = await host.instance()
        return instance if instance.status is InstanceStatus.PENDING and instance.error else None

    instance = await host.until(waits, "the reason is told")
    assert "runc is not installed" in instance.error
    assert not host.runner.processes
    containers.reason = ""

    async def launches() -> bool:
        return bool(containers.processes)

    await host.until(launches, "it is launched", advance_ms=1_000)
    assert not host.runner.processes
