"""`runtara run`: from a scenario file to its output, with core and environment inside this process."""

from __future__ import annotations

import asyncio
import os
import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from runtara_sdk.cli.child_argument import read_children
from runtara_sdk.cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, print_error
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import validate_identifier
from runtara_sdk.instance_error import InstanceError
from runtara_sdk.json_argument import read_json
from runtara_sdk.models import InstanceStatus
from runtara_sdk.plugins import load_one
from runtara_sdk.services import ChildFile, CompilerService, LocalPlatform, RunOutcome
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.stop_signals import stop_at_signals
from runtara_sdk.written_decimal import dump_json

EXIT_UNFINISHED = 3
_ENVELOPE_KEYS = frozenset({"data", "variables"})


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked for on the command line, checked."""

    scenario: Path
    input_envelope: Mapping[str, Any] | None
    instance_id: str
    target: str
    runner: str | None
    data_dir: Path
    database_url: str | None
    tenant_id: str
    children: tuple[ChildFile, ...] = ()


@click.command()
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--input", "input_text", metavar="JSON|@FILE", help="Input: {data, variables}, or an object that is the data."
)
@click.option("--instance-id", metavar="ID", help="Id of the run; an unfinished one goes on where it was.")
@click.option("--native", is_flag=True, help="Compile to a native binary (needs a C compiler).")
@click.option(
    "--runner",
    metavar="NAME",
    help="What runs it: native, oci (a container), auto, or the runner of a plugin.  [default: RUNTARA_RUNNER or auto]",
)
@click.option("--child", "child_files", multiple=True, metavar="ID=PATH", help="Embed a child scenario (repeatable).")
@click.option("--child-version", "child_versions", multiple=True, metavar="ID=N", help="Version of that child.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where images, runs and the database are kept. [default: DATA_DIR or .data]",
)
@click.option(
    "--database-url",
    metavar="URL",
    help="sqlite:///FILE, postgres://... or that of an installed storage.  "
    "[default: RUNTARA_DATABASE_URL, else SQLite in the data directory]",
)
@click.option("--tenant", "tenant_id", default="default", show_default=True, help="Owner of image and instance.")
@click.option("--json", "as_json", is_flag=True, help="Print {instance_id, status, output, error} instead.")
@click.pass_context
def run(
    ctx: click.Context,
    scenario: Path,
    *,
    input_text: str | None,
    instance_id: str | None,
    native: bool,
    runner: str | None,
    child_files: tuple[str, ...],
    child_versions: tuple[str, ...],
    data_dir: Path | None,
    database_url: str | None,
    tenant_id: str,
    as_json: bool,
) -> None:
    """Compile SCENARIO (a JSON file), run one instance of it, print its output.

    Everything runs in and below this process; state is kept in the data directory, so that a run that was stopped or
    killed goes on when its id is given again. Progress goes to standard error, the output alone to standard output.

    The variables of `runtara core` and `runtara environment` hold, but for ports, addresses and certificates, which are
    of this process alone; EXECUTION_TIMEOUT_SECS is 24 hours here when it is not set.

    \b
    Exit codes:
      0    completed
      1    failed or cancelled
      2    wrong usage or bad input
      3    not finished: paused or suspended, the message says how to go on
      130  interrupted by Ctrl-C, the message says how to go on

    \b
    Examples:
      runtara run order.json --input '{"orderId": "A-1"}'
      runtara run order.json --input @input.json --instance-id order-A-1
      runtara run order.json --native --json
      runtara run order.json --child billing=billing.json

    `runtara plugins` lists the installed runners and storages.
    """
    validate_identifier("--tenant", tenant_id)
    if instance_id is not None:
        validate_identifier("--instance-id", instance_id)
    request = RunRequest(
        scenario=scenario,
        input_envelope=None if input_text is None else _envelope(read_json(input_text, "--input")),
        instance_id=instance_id if instance_id is not None else str(uuid.uuid4()),
        target="native" if native else "python",
        runner=runner,
        data_dir=(data_dir or Path(os.environ.get("DATA_DIR") or ".data")).absolute(),
        database_url=database_url or _database_url_of_process(),
        tenant_id=tenant_id,
        children=read_children(child_files, child_versions),
    )
    try:
        outcome = asyncio.run(_run(request))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print_error(f"interrupted; go on with: {_resume_command(request)}")
        ctx.exit(EXIT_INTERRUPTED)
    ctx.exit(_show(outcome, request, as_json=as_json))


async def _run(request: RunRequest) -> RunOutcome:
    task = asyncio.current_task()
    if task is not None:
        stop_at_signals(task.cancel)
    compiler: CompilerService = load_one(
        "runtara.services", "compiler", package="runtara-compiler", needed_by="`runtara run`"
    )()
    platform: LocalPlatform = load_one(
        "runtara.services", "local_platform", package="runtara-environment", needed_by="`runtara run`"
    )()
    if request.runner is not None or request.database_url is not None:
        await platform.require_plugins(runner=request.runner, database_url=request.database_url)
    compiled = await compiler.compile_file(
        request.scenario,
        tenant_id=request.tenant_id,
        target=request.target,
        data_dir=request.data_dir,
        progress=_progress,
        children=request.children,
    )
    for warning in compiled.warnings:
        _progress(f"warning: {warning}")
    _progress(f"instance {request.instance_id}")
    return await platform.run_artifact(
        compiled,
        tenant_id=request.tenant_id,
        instance_id=request.instance_id,
        input_envelope=request.input_envelope,
        data_dir=request.data_dir,
        database_url=request.database_url,
        runner=request.runner,
        progress=_progress,
    )


def _show(outcome: RunOutcome, request: RunRequest, *, as_json: bool) -> int:
    error = None if outcome.error is None else InstanceError.parse(outcome.error)
    if as_json:
        shown = {
            "instance_id": outcome.instance_id,
            "status": outcome.status,
            "output": outcome.output,
            "error": None if error is None else error.as_json(),
        }
        if outcome.already_finished:
            shown |= {"already_finished": True, "other_version": outcome.other_version}
        click.echo(dump_json(shown, indent=2, ensure_ascii=False))
    if outcome.status == InstanceStatus.COMPLETED:
        if not as_json:
            click.echo(dump_json(outcome.output, indent=2, ensure_ascii=False))
        return 0
    if outcome.status in (InstanceStatus.FAILED, InstanceStatus.CANCELLED):
        reasons = error.lines() if error is not None else [outcome.termination_reason or ""]
        print_error(f"instance {outcome.instance_id} {outcome.status}{f': {reasons[0]}' if reasons[0] else ''}")
        for line in reasons[1:]:
            _progress(line)
        return EXIT_FAILED
    reason = f" ({outcome.termination_reason})" if outcome.termination_reason else ""
    _progress(f"instance {outcome.instance_id} is {outcome.status}{reason}; go on with: {_resume_command(request)}")
    return EXIT_UNFINISHED


def _envelope(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise InvalidInputError("--input must be a JSON object: the data, or {data, variables}")
    if not (document and (document.keys() <= _ENVELOPE_KEYS or document.keys() >= _ENVELOPE_KEYS)):
        return {"data": document, "variables": {}}
    for key in _ENVELOPE_KEYS:
        if not isinstance(document.get(key, {}), dict):
            raise InvalidInputError(f"--input: {key} must be a JSON object")
    return {"data": document.get("data", {}), "variables": document.get("variables", {})}


def _resume_command(request: RunRequest) -> str:
    words = ["runtara", "run", str(request.scenario), "--instance-id", request.instance_id]
    for child in request.children:
        words += ["--child", f"{child.scenario_id}={child.path}"]
        if child.version is not None:
            words += ["--child-version", f"{child.scenario_id}={child.version}"]
    if request.target == "native":
        words.append("--native")
    if request.data_dir != Path(os.environ.get("DATA_DIR") or ".data").absolute():
        words += ["--data-dir", str(request.data_dir)]
    if request.database_url not in (None, _database_url_of_process()):
        words += ["--database-url", "URL" if "@" in str(request.database_url) else str(request.database_url)]
    if request.tenant_id != "default":
        words += ["--tenant", request.tenant_id]
    if request.runner is not None:
        words += ["--runner", request.runner]
    return shlex.join(words)


def _database_url_of_process() -> str | None:
    """The database that the daemons and `runtara dev` would take here: one state, whichever command is used."""
    return EnvironmentReader().optional_text("RUNTARA_DATABASE_URL")


def _progress(message: str) -> None:
    click.echo(message, err=True)
