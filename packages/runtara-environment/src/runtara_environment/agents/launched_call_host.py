"""Calls of capabilities as launches of a runner: with its isolation, its limits, and the users of its programs.

A call is launched like a program of an instance, but nothing of it is recorded in a database, it reaches no core, and
it is never adopted: its process ends when its daemon dies, and what is left nevertheless is ended by the next daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import site
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.agent_process.messages import CALL, PROGRAM, CallOrder
from runtara_sdk.errors import ConfigurationError, RuntaraError
from runtara_sdk.resource_limits import UNLIMITED

from runtara_environment.agents.call_directory import CallDirectory
from runtara_environment.agents.call_outcome import MAX_RESULT_BYTES, CallEnd, outcome_of
from runtara_environment.agents.capability_host import (
    RUNNER_UNAVAILABLE,
    TEST_CAPABILITY_ERROR,
    CapabilityCall,
    CapabilityHost,
    CapabilityOutcome,
)
from runtara_environment.agents.order_pipe import OrderPipe
from runtara_environment.agents.process_environment import process_environment
from runtara_environment.limit_policy import LimitPolicy
from runtara_environment.runner import LaunchedProcess, LaunchError, LaunchSpec, ProcessExit, StopError
from runtara_environment.runners.available import AvailableRunners, ReadyRunner, RunnerUnavailableError
from runtara_environment.runners.loading import LoadedRunners
from runtara_environment.supervision.guest_network import GuestNetwork

logger = logging.getLogger(__name__)

_GRACE_MS = 500
"""Beyond its time, for the capability's own word about it."""

_LEFT_ALONE_SECONDS = 5.0
"""Beyond its time again, until the runner ends a process whose daemon is gone."""

_SWEPT_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class CallRunners:
    """How calls are launched.

    Attributes:
        installed: the runners of this installation.
        available: those that this environment launches with.
        limits: the operator's bounds of launches.
        bundles_directory: where containers have their files.
    """

    installed: LoadedRunners
    available: AvailableRunners
    limits: LimitPolicy
    bundles_directory: Path


class LaunchedCallHost(CapabilityHost):
    """Launches a process for each call.

    Args:
        directory: where the directories of calls are made.
        network: what calls may reach.
        runners: what launches them.
    """

    def __init__(self, directory: Path, network: GuestNetwork, runners: CallRunners) -> None:
        self._directory = directory
        self._network = network
        self._runners = runners

    async def sweep(self) -> None:
        """End and remove what an earlier daemon that was killed has left; what does not end stays, with a warning."""
        slots = asyncio.Semaphore(_SWEPT_AT_ONCE)
        left = await asyncio.to_thread(lambda: [*self._directory.iterdir()] if self._directory.is_dir() else [])
        await asyncio.gather(*(self._sweep_one(CallDirectory(path), slots) for path in left))
        with contextlib.suppress(OSError):  # something is left in it, or there is none
            await asyncio.to_thread(self._directory.rmdir)

    async def call(self, call: CapabilityCall) -> CapabilityOutcome:
        """As of any place."""
        began = time.monotonic()
        directory = CallDirectory(self._directory / uuid.uuid4().hex)
        try:
            ready = await self._runners.available.get(call.runner)
            await asyncio.to_thread(directory.make)
            end = await self._make(call, ready, directory)
        except RunnerUnavailableError as error:
            return CapabilityOutcome.failure(RUNNER_UNAVAILABLE, error.message, may_pass=True)
        except LaunchError as error:
            return CapabilityOutcome.failure(TEST_CAPABILITY_ERROR, error.message, may_pass=not error.permanent)
        except StopError as error:
            logger.error("a process of a test is left: %s", error)
            return CapabilityOutcome.failure(TEST_CAPABILITY_ERROR, f"the process of the test is left: {error}")
        finally:
            # Seen through also when the caller is gone: files of a call are nobody's afterwards.
            await asyncio.shield(asyncio.to_thread(directory.remove_unless_noted))
        return outcome_of(call, end, round((time.monotonic() - began) * 1000))

    async def _make(self, call: CapabilityCall, ready: ReadyRunner, directory: CallDirectory) -> CallEnd:
        spec = await self._specification(call, ready, directory)
        await asyncio.to_thread(directory.note_launch, ready.name, ready.runner.planned_state(spec))
        pipe = await asyncio.to_thread(OrderPipe, directory.order_path)
        feeding = asyncio.create_task(pipe.feed(_order(call)), name=f"order of {spec.instance_id}")
        try:
            ended = await _run(ready, spec, directory, (call.timeout_ms + _GRACE_MS) / 1000)
        finally:
            has_taken_order = feeding.done() and pipe.is_empty
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            pipe.close()
        if not ended.exit.started:
            reason = ended.exit.error or "its process could not be started"
            raise LaunchError(f"the runner {ready.name}: {reason}", permanent=ended.exit.permanent)
        return CallEnd(
            exit=ended.exit,
            is_late=ended.is_late or ended.exit.timed_out,
            answer=await asyncio.to_thread(
                directory.read_answer, MAX_RESULT_BYTES + 2
            ),  # the line end, and one too many
            errors=await ended.process.output_tail("stderr"),
            has_taken_order=has_taken_order,
            memory_bytes=spec.limits.memory_bytes,
        )

    async def _specification(self, call: CapabilityCall, ready: ReadyRunner, directory: CallDirectory) -> LaunchSpec:
        arguments = (sys.executable, "-P", "-m", PROGRAM, CALL)
        return LaunchSpec(
            instance_id=f"test-{directory.path.name}",
            tenant_id=call.tenant_id,
            epoch=1,
            argv=(*arguments, str(directory.order_path), str(directory.answer_path)),
            environment=process_environment(directory.run_directory, await self._network.variables()),
            run_directory=directory.run_directory,
            limits=self._runners.limits.of_launch(UNLIMITED, ready.runner.default_limits, ready.probe),
            network=ready.network,
            timeout_seconds=(call.timeout_ms + _GRACE_MS) / 1000 + _LEFT_ALONE_SECONDS,
            kill_grace_seconds=0.0,
            files=tuple(_module_directories(self._directory)),
            bundles_directory=self._runners.bundles_directory,
        )

    async def _sweep_one(self, directory: CallDirectory, slots: asyncio.Semaphore) -> None:
        async with slots:
            noted = await asyncio.to_thread(directory.noted_launch)
            try:
                if noted is not None:
                    runner_type, state = noted
                    process = await self._runners.installed.get(runner_type).attach(state)
                    if process is not None:
                        await process.stop(0)
            except (ConfigurationError, RuntaraError, OSError) as error:
                logger.warning("what is left of a test in %s cannot be ended: %s", directory.path, error)
                return
            await asyncio.to_thread(directory.remove)


@dataclass(frozen=True, slots=True)
class _Ended:
    process: LaunchedProcess
    exit: ProcessExit
    is_late: bool


async def _run(ready: ReadyRunner, spec: LaunchSpec, directory: CallDirectory, seconds: float) -> _Ended:
    """Launch, and return once nothing of it lives. Raises `LaunchError`, `StopError`.

    The launch is noted in its directory until it is certain that nothing of it lives.
    """
    launching = asyncio.create_task(ready.runner.launch(spec), name=f"launch {spec.instance_id}")
    try:
        try:
            async with asyncio.timeout(seconds):
                process = await asyncio.shield(launching)
                ended = _Ended(process, await process.wait(), is_late=False)
        except TimeoutError:
            process = await asyncio.shield(launching)
            ended = _Ended(process, await process.stop(0), is_late=True)
        except LaunchError:
            directory.forget_launch()
            raise
    except asyncio.CancelledError:
        # Nobody waits any more, but what was launched must not go on.
        await asyncio.shield(asyncio.ensure_future(_stop(launching, directory)))
        raise
    directory.forget_launch()
    return ended


async def _stop(launching: asyncio.Task[LaunchedProcess], directory: CallDirectory) -> None:
    try:
        await (await launching).stop(0)
    except StopError as error:
        logger.error("a process of a test that was given up is left: %s", error)
        return
    except LaunchError:
        pass  # nothing was started
    directory.forget_launch()


def _order(call: CapabilityCall) -> bytes:
    return CallOrder(
        module=call.capability.module,
        attribute=call.capability.attribute,
        capability_id=call.capability.capability_id,
        deadline_ms=round(time.time() * 1000) + call.timeout_ms,
        max_result_bytes=MAX_RESULT_BYTES,
        inputs=call.input_json,
        connection=call.connection_json,
    ).encode()


def _module_directories(data_directory: Path) -> list[Path]:
    """Where agents may lie beside the packages of this Python, which every runner shows; never what holds our data."""
    named = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    if site.ENABLE_USER_SITE:
        named.append(site.getusersitepackages())
    paths = (Path(each) for each in named)
    return [
        path
        for path in paths
        if path.is_absolute()
        and path.is_dir()
        and not data_directory.resolve().is_relative_to(path.resolve())
        and not path.resolve().is_relative_to(data_directory.resolve().parent)
    ]
