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

from runtara_sdk.errors import InstanceSuperseded, InvalidInputError, RuntaraError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.workflow.envelope import built_in_variables, read_input, starting_variables
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.json_text import encode_json
from runtara_sdk.workflow.run import Run
from runtara_sdk.workflow.schema import checked
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


def main(workflow: Workflow) -> NoReturn:
    """Run `workflow` as this process; turns the garbage collector on, which `prepare` had turned off."""
    gc.freeze()
    gc.enable()
    code = run_workflow(workflow, sys.argv[1:])
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Nothing is left to clean up, and threads of abandoned calls must not hold the process.
    os._exit(code)


def run_workflow(workflow: Workflow, argv: Sequence[str] | None = None) -> int:
    """Run `workflow` as the instance that the environment variables name; returns the exit code."""
    if argv:
        return _answer(workflow, argv)
    try:
        return asyncio.run(_run(workflow))
    except RuntaraError as error:
        Surroundings().complain(error.message)
        return EXIT_FAILED
    except InstanceSuperseded as superseded:  # at the registration already, outside of any block
        Surroundings().complain(str(superseded))
        return EXIT_SUPERSEDED
    except asyncio.CancelledError:
        Surroundings().complain("stopped by SIGTERM; the next launch goes on")
        return EXIT_STOPPED
    except KeyboardInterrupt:
        Surroundings().complain("interrupted; the next launch goes on")
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
        return EXIT_DONE
    # An interruption ends the block here: it has been acknowledged by now.
    return EXIT_SUPERSEDED if isinstance(sdk.interruption, InstanceSuperseded) else EXIT_DONE


async def _run(workflow: Workflow) -> int:
    from runtara_sdk.instance import RuntaraSdk  # after --help and --version, which need no protocol

    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await run_instance(workflow, RuntaraSdk.from_env(), EnvironmentReader())
    finally:
        await _close_agents(workflow)


async def _run_graph(
    workflow: Workflow, sdk: RuntaraSdk, reader: EnvironmentReader, surroundings: Surroundings
) -> bytes:
    try:
        run_input = read_input(reader)
    except InvalidInputError as error:
        raise StepFailedError("INVALID_INPUT", error.message) from error
    built_in = built_in_variables(scenario_id=workflow.id, instance_id=sdk.instance_id, tenant_id=sdk.tenant_id)
    data = checked(workflow.input_schema, run_input.data, code="INVALID_INPUT", what="the input", root="data")
    run = Run(
        sdk,
        Scope(base=built_in["_scenario_id"]),
        data=data,
        variables=starting_variables(workflow.variables, run_input.variables, built_in),
        debug=workflow.debug,
        surroundings=surroundings,
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
        run.limit = await fix_limit(run, key, workflow.timeout_ms, "EXECUTION_TIMEOUT", "the run")
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


def _answer(workflow: Workflow, argv: Sequence[str]) -> int:
    name = workflow.name or workflow.id
    if argv[0] == "--version":
        compiled = f", compiled by runtara-compiler {workflow.compiler_version}"
        print(f"{name} ({workflow.id} version {workflow.version}{compiled})")  # noqa: T201
        return EXIT_DONE
    if argv[0] in ("--help", "-h"):
        print(_HELP.format(name=name))  # noqa: T201
        return EXIT_DONE
    Surroundings().complain(f"unknown argument {argv[0]!r}: use --help or --version, or none to run the instance")
    return EXIT_USAGE


_HELP = """\
{name}: a compiled workflow of Runtara.

Started without arguments it runs one instance, which these environment variables name:

  RUNTARA_INSTANCE_ID  id of the instance; starting it again goes on where it was
  RUNTARA_TENANT_ID    owner of the instance
  RUNTARA_SERVER_ADDR  core daemon (127.0.0.1:8001), or a database such as sqlite:///run.db
  RUNTARA_INPUT_PATH   file with the input JSON, {{data, variables}} or the data alone
  INPUT_JSON           the input itself, when no file is named

  --version  print scenario, version and compiler
  --help     print this text"""
