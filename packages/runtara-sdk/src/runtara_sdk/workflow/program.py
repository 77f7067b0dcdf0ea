"""The main program of an artifact: connect, run the workflow, report, exit.

| Exit code | Meaning |
|---|---|
| 0 | completed, cancelled, paused, told to shut down, or asleep until its wake time |
| 1 | failed (reported), or the store cannot be reached or refused the run (the instance stays as it is) |
| 2 | unknown command line |
| 3 | a newer launch owns the instance; nothing was reported |
| 143 | told to stop by SIGTERM; nothing was reported, the next launch goes on |

The environment variables of an instance configure it (see the README); errors take one line on standard error.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from runtara_sdk.errors import InstanceCancelled, InstanceSuperseded, InvalidInputError, RuntaraError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.workflow.envelope import built_in_variables, read_input, starting_variables
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.input_check import INVALID_INPUT, fitting_data
from runtara_sdk.workflow.json_text import encode_json
from runtara_sdk.workflow.rate_limit_budget import RateLimitBudget
from runtara_sdk.workflow.retry import DEFAULT_LONGEST_RESULT, LONGEST_RESULT_VARIABLE, DurableCalls
from runtara_sdk.workflow.run import Run
from runtara_sdk.workflow.run_context import InstanceContext
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.surroundings import Surroundings
from runtara_sdk.workflow.time_limit import fix_limit
from runtara_sdk.workflow.workflow import Workflow

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk

logger = logging.getLogger(__name__)

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SUPERSEDED = 3
EXIT_INTERRUPTED = 130
EXIT_STOPPED = 143

_CLOSE_SECONDS = 2.0


def prepare() -> None:
    """Make what follows load faster. For main programs, before they import the workflow; `main` ends it.

    Plugins of pydantic are switched off, as discovering them takes longer than building the models of an agent;
    PYDANTIC_DISABLE_PLUGINS with another value leaves them on.
    """
    gc.disable()
    if os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__") == "__all__":
        # The variable alone would still let pydantic import all that reads the metadata of distributions.
        no_plugins = ModuleType("pydantic.plugin._loader")
        no_plugins.get_plugins = tuple  # type: ignore[attr-defined]
        sys.modules.setdefault(no_plugins.__name__, no_plugins)


def main(workflow: Workflow, manifest_file: str | None = None) -> NoReturn:
    """Run `workflow` as this process; turns the garbage collector on, which `prepare` had turned off.

    `manifest_file` holds the artifact's manifest; without it the program itself is the archive that does.
    """
    gc.freeze()
    gc.enable()
    code = run_workflow(workflow, sys.argv[1:], manifest_file or sys.argv[0])
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Nothing is left to clean up, and threads of abandoned calls must not hold the process.
    os._exit(code)


def run_workflow(workflow: Workflow, argv: Sequence[str] | None = None, manifest_file: str = "") -> int:
    """Run `workflow` as the instance that environment variables or options name; returns the exit code."""
    reader, surroundings = EnvironmentReader(), Surroundings()
    if argv:
        from pathlib import Path

        from runtara_sdk.workflow.command_line import HELP, describe_version, read_bill_of_materials, read_options

        if argv[0] == "--version":
            print(describe_version(workflow, Path(manifest_file)))  # noqa: T201
            return EXIT_DONE
        if argv[0] in ("--help", "-h"):
            name = workflow.name or workflow.id
            print(HELP.format(name=name, program=f"./{Path(sys.argv[0]).name}"))  # noqa: T201
            return EXIT_DONE
        try:
            if argv[0] == "--sbom":
                print(read_bill_of_materials(Path(manifest_file)), end="")  # noqa: T201
                return EXIT_DONE
            start = read_options(argv, os.environ)
        except InvalidInputError as error:
            surroundings.complain(error.message)
            return EXIT_USAGE
        reader, surroundings = start.reader, start.surroundings
    if workflow.agents:
        from runtara_sdk.agents.secrets import keep_secrets_out_of_standard_error

        keep_secrets_out_of_standard_error()
    try:
        return asyncio.run(_run(workflow, reader, surroundings))
    except RuntaraError as error:
        surroundings.complain(error.message)
        return EXIT_FAILED
    except InstanceSuperseded as superseded:  # at the registration already, outside of any block
        surroundings.complain(str(superseded))
        return EXIT_SUPERSEDED
    except asyncio.CancelledError:
        surroundings.complain("stopped by SIGTERM; the next launch goes on")
        return EXIT_STOPPED
    except KeyboardInterrupt:
        surroundings.complain("interrupted; the next launch goes on")
        return EXIT_INTERRUPTED


async def run_instance(
    workflow: Workflow, sdk: RuntaraSdk, reader: EnvironmentReader, surroundings: Surroundings | None = None
) -> int:
    """Run `workflow` on an SDK that is not yet connected, and report how it ended; returns the exit code.

    `surroundings` are those of a program that runs for real, when left out.
    Raises `RuntaraError` when the store fails: then nothing was reported.
    """
    surroundings = surroundings or Surroundings()
    async with sdk:
        try:
            output = await _run_graph(workflow, sdk, reader, surroundings)
        except StepFailedError as failure:
            surroundings.complain(str(failure))
            await sdk.failed(failure.as_text())
            return EXIT_FAILED
        await sdk.completed(output)
        surroundings.finished(output)
        return EXIT_DONE
    # An interruption ends the block here: it has been acknowledged by now.
    if sdk.interruption is not None:
        goes_on = not isinstance(sdk.interruption, InstanceCancelled | InstanceSuperseded)
        surroundings.interrupted(str(sdk.interruption), goes_on=goes_on)
    return EXIT_SUPERSEDED if isinstance(sdk.interruption, InstanceSuperseded) else EXIT_DONE


async def _run(workflow: Workflow, reader: EnvironmentReader, surroundings: Surroundings) -> int:
    from runtara_sdk.instance import RuntaraSdk  # after --help and --version, which need no protocol
    from runtara_sdk.instance_settings import InstanceSettings

    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        sdk = RuntaraSdk(InstanceSettings.from_environment(reader))
        return await run_instance(workflow, sdk, reader, surroundings)
    finally:
        await _close_agents(workflow)


async def _run_graph(
    workflow: Workflow, sdk: RuntaraSdk, reader: EnvironmentReader, surroundings: Surroundings
) -> bytes:
    try:
        run_input = read_input(reader)
    except InvalidInputError as error:
        raise StepFailedError(INVALID_INPUT, error.message) from error
    built_in = built_in_variables(scenario_id=workflow.id, instance_id=sdk.instance_id, tenant_id=sdk.tenant_id)
    data = fitting_data(workflow.input_schema, run_input)
    base = built_in["_scenario_id"]
    rate_limits = RateLimitBudget(sdk, surroundings.clock, base=base, budget_ms=workflow.rate_limit_budget_ms)
    longest_result = reader.integer(
        LONGEST_RESULT_VARIABLE, DEFAULT_LONGEST_RESULT, minimum=1024, maximum=32 * 1024 * 1024
    )
    calls = DurableCalls(sdk, rate_limits, longest_result)
    if not workflow.durable:
        from runtara_sdk.workflow.transient_calls import TransientCalls  # most workflows are durable

        calls = TransientCalls.instead_of(calls)
    surroundings.begin(reader, sdk.settings)
    instance = InstanceContext(
        sdk=sdk,
        surroundings=surroundings,
        calls=calls,
        debug=workflow.debug,
        connection_service_url=workflow.connection_service_url,
    )
    run = Run(
        instance,
        Scope(base=base),
        data=data,
        variables=starting_variables(workflow.variables, run_input.variables, built_in),
    )
    output = await _graph_output(workflow, run)
    try:
        return encode_json(output)
    except (TypeError, ValueError) as error:
        raise StepFailedError("OUTPUT_SERIALIZATION_ERROR", f"the output is not JSON: {error}") from error


async def _graph_output(workflow: Workflow, run: Run) -> Any:
    try:
        if workflow.timeout_ms is None:
            return await workflow.graph(run)
        key = run.scope.key("run")
        run.limit = await fix_limit(run.clock, run.calls, key, workflow.timeout_ms, "EXECUTION_TIMEOUT", "the run")
        return await run.limit.apply(run.clock, workflow.graph(run))
    except RuntaraError as error:
        if isinstance(error, StepFailedError) or error.retryable:
            raise  # a store that is away is no failure of the workflow
        raise StepFailedError(error.code, error.message) from error
    except Exception as error:
        # Not foreseen, so nothing says that another launch would fare better.
        logger.exception("the workflow stopped unexpectedly")
        reason = f"{type(error).__name__}: {error}"
        raise StepFailedError("INTERNAL_ERROR", f"the workflow stopped unexpectedly: {reason}") from error


async def _close_agents(workflow: Workflow) -> None:
    with suppress(Exception):  # the run is over and reported; what an agent fails to release ends with the process
        async with asyncio.timeout(_CLOSE_SECONDS):
            for agent in workflow.agents:
                await agent.close()
