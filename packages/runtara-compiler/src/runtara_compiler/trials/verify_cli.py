"""`runtara verify`: a scenario whose program dies at every place in turn."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from runtara_sdk.errors import InvalidInputError, RuntaraError

if TYPE_CHECKING:
    from runtara_compiler.trials.verification import Verification

_CERTIFICATE = "runtara-verification-1"


@click.command(name="verify", short_help="Let a scenario die at every place, and compare how it ends.")
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--input", "input_text", metavar="JSON|@FILE", help="Input: {data, variables}, or the data alone.")
@click.option("--cases", "cases_path", metavar="FILE", help="Take input, stand-ins and answers from a file of cases.")
@click.option("--case", "case_name", metavar="NAME", help="Which of its cases.  [default: the first]")
@click.option("--child", "child_files", multiple=True, metavar="ID=PATH", help="Embed a child scenario (repeatable).")
@click.option("--child-version", "child_versions", multiple=True, metavar="ID=N", help="Version of that child.")
@click.option("--data-dir", metavar="DIR", help="Holds cache and artifacts.  [default: DATA_DIR, else .data]")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate: a JSON object bound to the artifact.")
@click.pass_context
def verify_command(
    ctx: click.Context,
    scenario: Path,
    *,
    input_text: str | None,
    cases_path: str | None,
    case_name: str | None,
    child_files: tuple[str, ...],
    child_versions: tuple[str, ...],
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Run SCENARIO once undisturbed, and once for each place where its program can die.

    A place is before and after every call by which the program changes something in the store: a checkpoint, a sleep, a
    retry, an event, its end. There SIGKILL ends its process, and it is launched again in another. Result, events and
    effects (calls of capabilities) must be those of the undisturbed run; a call that was under way is made again, with
    the same idempotency key. Time jumps. Capabilities that no case stands in for are really called, each time.

    \b
    Exit codes:
      0  no death changes anything
      1  some death does
      2  wrong usage, or scenario, input or cases that cannot be read

    \b
    Examples:
      runtara verify order.json --input @input.json
      runtara verify order.json --cases order.cases.json --case "a large order" --json > certificate.json
    """
    try:
        certificate, verification = _verify(
            scenario, input_text, cases_path, case_name, child_files, child_versions, data_dir
        )
    except RuntaraError as error:
        for line in error.message.splitlines():
            click.echo(f"error: {line}", err=True)
        ctx.exit(2)
    if as_json:
        click.echo(json.dumps(certificate, ensure_ascii=False, indent=2))
    else:
        for line in _table(verification):
            click.echo(line)
    ctx.exit(0 if verification.holds else 1)


def _verify(
    scenario: Path,
    input_text: str | None,
    cases_path: str | None,
    case_name: str | None,
    child_files: tuple[str, ...],
    child_versions: tuple[str, ...],
    data_dir: str | None,
) -> tuple[dict[str, Any], Verification]:
    from runtara_sdk.cli.child_argument import read_children as read_child_arguments
    from runtara_sdk.json_argument import read_text
    from runtara_sdk.testing.program_process import ProgramProcesses
    from runtara_sdk.testing.trial import Trial, try_program
    from runtara_sdk.workflow.envelope import parse_input

    from runtara_compiler.compilation import CompilationInput, compile_scenario, generate_source
    from runtara_compiler.language.diagnostics import ScenarioError
    from runtara_compiler.service import child_sources, read_children, read_scenario_file, scenario_id_of
    from runtara_compiler.trials.cases import read_case_file
    from runtara_compiler.trials.verification import verify_program

    if cases_path is not None:
        found = {case.name: case for case in read_case_file(Path(cases_path)).cases}
        name = next(iter(found)) if case_name is None else case_name
        if name not in found:
            raise InvalidInputError(f"--case {name!r}: {cases_path} has no case of this name")
        trial = found[name].trial()
    else:
        given = parse_input(read_text(input_text or "{}", "--input"), "--input")
        trial = Trial(data=given.data, variables=given.variables)
    compilation = CompilationInput(
        tenant_id="verification",
        scenario_id=scenario_id_of(scenario),
        version=1,
        execution_graph=read_scenario_file(scenario),
        origin=str(scenario),
        child_scenarios=child_sources(read_children(read_child_arguments(child_files, child_versions))),
        data_dir=None if data_dir is None else Path(data_dir),
    )
    try:
        artifact = asyncio.run(compile_scenario(compilation))
        source = generate_source(compilation)
    except ScenarioError as error:
        raise InvalidInputError("\n".join(f"{scenario}: {item}" for item in error.diagnostics)) from error

    async def verify() -> Verification:
        async with ProgramProcesses(source, str(scenario)) as processes:
            return await verify_program(
                lambda trial: try_program(processes, trial, clock=processes.clock()), trial, progress=_progress
            )

    verification = asyncio.run(verify())
    return _certificate(compilation.scenario_id, artifact.binary_checksum, verification), verification


def _progress(done: int, of: int) -> None:
    if done == of or done % 100 == 0:
        click.echo(f"{done} of {of} deaths tried", err=True)


def _certificate(scenario_id: str, artifact_sha256: str, verification: Verification) -> dict[str, Any]:
    return {
        "certificate": _CERTIFICATE,
        "scenario": scenario_id,
        "artifactSha256": artifact_sha256,
        "status": verification.undisturbed.status.value,
        "killedBy": "SIGKILL",
        "deaths": len(verification.results),
        "holds": verification.holds,
        "repeatedCalls": sum(result.repeated for result in verification.results),
        "changed": [
            {
                "call": result.point.call,
                "when": "after" if result.point.after else "before",
                "changed": list(result.changed),
            }
            for result in verification.results
            if result.changed
        ],
    }


def _table(verification: Verification) -> list[str]:
    lines = [
        f"undisturbed: {verification.undisturbed.status.value}",
        "",
        "died           result  events  effects  repeated",
    ]
    for result in verification.results:
        place = f"{'after' if result.point.after else 'before'} call {result.point.call}"
        marks = ["DIFFER" if name in result.changed else "same" for name in ("result", "events", "effects")]
        lines.append(f"{place:<15}{marks[0]:<8}{marks[1]:<8}{marks[2]:<9}{result.repeated or '-'}")
    failed = sum(bool(result.changed) for result in verification.results)
    verdict = "no death changes anything" if verification.holds else f"{failed} deaths change something"
    return [*lines, "", f"{len(verification.results)} deaths tried: {verdict}"]
