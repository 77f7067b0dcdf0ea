"""`runtara test`: cases of a scenario, in time that jumps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from runtara_sdk.cli.text import duration
from runtara_sdk.errors import InvalidInputError, RuntaraError
from runtara_sdk.written_decimal import dump_json

if TYPE_CHECKING:
    from runtara_compiler.trials.running import CaseResult


@click.command(name="test", short_help="Try a scenario with cases, in time that jumps.")
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cases", "cases_path", required=True, metavar="FILE", help="File of cases (JSON).")
@click.option("--case", "only", multiple=True, metavar="NAME", help="Only the case of this name (may be repeated).")
@click.option("--child", "child_files", multiple=True, metavar="ID=PATH", help="Embed a child scenario (repeatable).")
@click.option("--child-version", "child_versions", multiple=True, metavar="ID=N", help="Version of that child.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as a JSON object.")
@click.pass_context
def test_command(
    ctx: click.Context,
    scenario: Path,
    *,
    cases_path: str,
    only: tuple[str, ...],
    child_files: tuple[str, ...],
    child_versions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Try SCENARIO with cases: inputs, stand-ins for capabilities and children, answers, and what must come out.

    The program that runs is the one that the compiler generates. Time jumps from deadline to deadline, so a case with a
    delay of three days takes milliseconds. Capabilities that a case does not name are really called.

    \b
    A file of cases:
      {"cases": [{
        "name": "a busy service is asked again",
        "input": {"order": "A-1"},
        "capabilities": {"http/http-request": [
          {"error": {"code": "BUSY", "category": "transient"}}, {"output": {"body": {"ok": true}}}]},
        "signals": [{"step": "approve", "payload": {"approved": true}, "after": "2d"}],
        "expect": {"output": {"ok": true}, "passed": "2d"}
      }]}

    \b
    Exit codes:
      0  every case holds
      1  some case does not
      2  wrong usage, or scenario or cases that cannot be read

    \b
    Examples:
      runtara test order.json --cases order.cases.json
      runtara test order.json --cases order.cases.json --case "a busy service is asked again" --json
    """
    try:
        results = _run(scenario, Path(cases_path), only, child_files, child_versions)
    except RuntaraError as error:
        for line in error.message.splitlines():
            click.echo(f"error: {line}", err=True)
        ctx.exit(2)
    if as_json:
        click.echo(dump_json(_document(results), ensure_ascii=False, indent=2))
    else:
        for line in _lines(results):
            click.echo(line)
    ctx.exit(0 if all(result.holds for result in results) else 1)


def _run(
    scenario: Path,
    cases_path: Path,
    only: tuple[str, ...],
    child_files: tuple[str, ...],
    child_versions: tuple[str, ...],
) -> list[CaseResult]:
    from runtara_sdk.cli.child_argument import read_children as read_child_arguments

    from runtara_compiler.compilation import CompilationInput
    from runtara_compiler.language.diagnostics import ScenarioError
    from runtara_compiler.service import child_sources, read_children, read_scenario_file, scenario_id_of
    from runtara_compiler.trials.cases import read_case_file
    from runtara_compiler.trials.running import load_workflow, run_cases

    found = read_case_file(cases_path)
    unknown = set(only).difference(case.name for case in found.cases)
    if unknown:
        raise InvalidInputError(f"--case {min(unknown)!r}: {cases_path} has no case of this name")
    children = read_children(read_child_arguments(child_files, child_versions))
    compilation = CompilationInput(
        tenant_id="trial",
        scenario_id=scenario_id_of(scenario),
        version=1,
        execution_graph=read_scenario_file(scenario),
        origin=str(scenario),
        child_scenarios=child_sources(children),
    )
    try:
        workflow = load_workflow(compilation)
    except ScenarioError as error:
        raise InvalidInputError("\n".join(f"{scenario}: {item}" for item in error.diagnostics)) from error
    return asyncio.run(run_cases(workflow, [case for case in found.cases if not only or case.name in only]))


def _lines(results: list[CaseResult]) -> list[str]:
    lines = []
    for result in results:
        outcome = result.outcome
        passed = f", {duration(outcome.passed_ms)} for the instance" if outcome and outcome.passed_ms else ""
        starts = f", {outcome.launches} launches" if outcome and outcome.launches > 1 else ""
        lines.append(
            f"{'ok    ' if result.holds else 'failed'}  {result.name} ({result.seconds:.2f} s{passed}{starts})"
        )
        lines += [f"        {line}" for line in result.differences]
    failed = sum(not result.holds for result in results)
    lines.append(f"{len(results) - failed} passed, {failed} failed")
    return lines


def _document(results: list[CaseResult]) -> dict[str, Any]:
    return {
        "passed": sum(result.holds for result in results),
        "failed": sum(not result.holds for result in results),
        "cases": [
            {
                "name": result.name,
                "holds": result.holds,
                "differences": list(result.differences),
                "seconds": round(result.seconds, 4),
                **(
                    {}
                    if result.outcome is None
                    else {
                        "status": result.outcome.status.value,
                        "output": result.outcome.output,
                        "error": result.outcome.error,
                        "passedMs": result.outcome.passed_ms,
                        "launches": result.outcome.launches,
                        "events": list(result.outcome.events),
                    }
                ),
            }
            for result in results
        ],
    }
