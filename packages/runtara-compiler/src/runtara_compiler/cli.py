"""`runtara-compile`, and the same command as `runtara compile`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from runtara_sdk.errors import InvalidInputError, RuntaraError
from runtara_sdk.written_decimal import dump_json

if TYPE_CHECKING:
    from runtara_sdk.services import ChildFile

    from runtara_compiler.compilation import CompilationResult
    from runtara_compiler.language.diagnostics import Diagnostic
    from runtara_compiler.unchanged import RememberedCompilation
    from runtara_compiler.validation import ValidationReport

_EXAMPLES = """\b
Examples:
  runtara-compile --workflow order.json --tenant acme --scenario order
  runtara-compile --workflow order.json --tenant acme --scenario order --target native --output ./order
  runtara-compile --workflow order.json --tenant acme --scenario order --emit-source order.py
  runtara-compile --workflow order.json --validate
  runtara-compile --spec
  runtara-compile --workflow order.json --tenant acme --scenario order --child billing=billing.json
"""


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """The options of one call, named as on the command line."""

    workflow: Path
    tenant: str | None
    scenario: str | None
    version: int
    target: str
    output: Path | None
    emit_source: Path | None
    data_dir: Path | None
    debug: bool
    as_json: bool
    verbose: bool
    children: tuple[ChildFile, ...] = ()


@click.command(
    name="compile",
    short_help="Compile a scenario to one executable file.",
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
    epilog=_EXAMPLES,
)
@click.option("--workflow", metavar="PATH", help="Scenario file (JSON); - is standard input. Required but for --spec.")
@click.option("--tenant", metavar="ID", help="Owner of the scenario. Required to compile.")
@click.option("--scenario", "--workflow-id", metavar="ID", help="Id of the scenario. Required to compile.")
@click.option("--version", metavar="N", type=int, default=1, show_default=True, help="Version of the scenario.")
@click.option("--target", metavar="NAME", default="python", show_default=True, help="Target: python or native.")
@click.option("--output", metavar="PATH", help="Put a copy of the artifact there.")
@click.option("--emit-source", metavar="PATH", help="Write the generated Python module there, too.")
@click.option("--data-dir", metavar="DIR", help="Holds cache and artifacts.  [default: DATA_DIR, else .data]")
@click.option("--debug", is_flag=True, help="Emit an event at the start and the end of each step.")
@click.option("--child", metavar="ID=PATH", multiple=True, help="Embed a child scenario (may be repeated).")
@click.option("--child-version", metavar="ID=N", multiple=True, help="Version of that child.")
@click.option("--validate", "only_validate", is_flag=True, help="Report errors and warnings, compile nothing.")
@click.option("--analyze", is_flag=True, help="Describe the scenario, compile nothing.")
@click.option("--spec", is_flag=True, help="Print the language's JSON Schema, agents and codes as one JSON document.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as a JSON object.")
@click.option("--verbose", "-v", is_flag=True, help="Tell more on standard error.")
def compile_command(
    *,
    child: tuple[str, ...],
    child_version: tuple[str, ...],
    only_validate: bool,
    analyze: bool,
    spec: bool,
    **given: Any,
) -> None:
    """Compile a scenario to one executable file.

    The path of the artifact is all that is printed on standard output; progress, warnings and errors go to standard
    error. The exit code is 0, or 1 when the scenario is not acceptable or cannot be built, or 2 for a wrong command
    line.
    """
    if spec:
        _print_spec()
        return
    if not given["workflow"]:
        raise click.UsageError("Missing option '--workflow'.")
    for name in ("workflow", "output", "emit_source", "data_dir"):
        given[name] = Path(given[name]) if given[name] else None
    children = _read_children(child, child_version)
    options = CompileOptions(**given, children=children)
    try:
        if analyze:
            _analyze(options)
        elif only_validate:
            _validate(options)
        else:
            _compile(options)
    except RuntaraError as error:
        _fail(error, options)


def _print_spec() -> None:
    from runtara_sdk.agents import discover_agents

    from runtara_compiler.spec_document import spec_document

    _print(spec_document(discover_agents()))


def main() -> None:
    """Entry point of `runtara-compile`."""
    compile_command(prog_name="runtara-compile")


def _compile(options: CompileOptions) -> None:
    from runtara_compiler.placement import build_directory, data_directory, put_in_place
    from runtara_compiler.service import read_children
    from runtara_compiler.unchanged import RememberedCompilation, UnchangedScenarios

    tenant, scenario = _require_ids(options)
    document, children = _read(options.workflow), read_children(options.children)
    data_dir = data_directory(options.data_dir)
    known = UnchangedScenarios(data_dir)
    key = known.key(
        document,
        tenant_id=tenant,
        scenario_id=scenario,
        version=options.version,
        target=options.target,
        debug=options.debug,
        children=children,
    )
    compiled = known.find(key) if key is not None and options.emit_source is None else None
    from_cache = compiled is not None
    build_dir = build_directory(data_dir, tenant, scenario, options.target, options.version)
    if compiled is not None:
        _say("unchanged, taken from the cache")
        put_in_place(compiled.artifact, compiled.source, build_dir, options.output)
    else:
        result = _compile_anew(options, tenant, scenario, document, children)
        compiled, from_cache = RememberedCompilation.of(result), result.from_cache
        if key is not None:
            known.remember(key, compiled)
    for warning in compiled.warnings:
        _say(f"warning: {options.workflow}: {warning}")
    if options.verbose:
        _say(f"{compiled.size} bytes, SHA-256 {compiled.sha256}, kept as {compiled.artifact}")
    path = options.output.absolute() if options.output is not None else build_dir / compiled.artifact.name
    _print(_result_json(compiled, path, build_dir, from_cache=from_cache) if options.as_json else str(path))


def _compile_anew(
    options: CompileOptions,
    tenant: str,
    scenario: str,
    document: bytes,
    children: tuple[tuple[ChildFile, bytes], ...],
) -> CompilationResult:
    from runtara_compiler.compilation import CompilationInput, compile_scenario, generate_source
    from runtara_compiler.service import child_sources

    compilation = CompilationInput(
        tenant_id=tenant,
        scenario_id=scenario,
        version=options.version,
        execution_graph=document,
        debug_mode=options.debug,
        target=options.target,
        data_dir=options.data_dir,
        output=options.output,
        origin=str(options.workflow),
        child_scenarios=child_sources(children),
    )
    if options.emit_source is not None:
        _write(options.emit_source, generate_source(compilation))
        _say(f"wrote {options.emit_source}")
    return asyncio.run(compile_scenario(compilation, progress=_say))


def _require_ids(options: CompileOptions) -> tuple[str, str]:
    if not options.tenant or not options.scenario:
        missing = "--scenario" if options.tenant else "--tenant"
        raise click.UsageError(f"Missing option '{missing}': it is needed to compile.")
    return options.tenant, options.scenario


def _read_children(files: tuple[str, ...], versions: tuple[str, ...]) -> tuple[ChildFile, ...]:
    from runtara_sdk.cli.child_argument import read_children

    try:
        return read_children(files, versions)
    except InvalidInputError as error:
        raise click.UsageError(error.message) from error


def _result_json(compiled: RememberedCompilation, path: Path, build_dir: Path, *, from_cache: bool) -> dict[str, Any]:
    return {
        "path": str(path),
        "size": compiled.size,
        "sha256": compiled.sha256,
        "buildDir": str(build_dir),
        "fromCache": from_cache,
        **compiled.summary,
    }


def _validate(options: CompileOptions) -> None:
    report = _judge(options)[0]
    if options.as_json:
        _print(report.to_json())
    _show("error", options, report.errors)
    _show("warning", options, report.warnings)
    if not report.valid:
        raise SystemExit(1)
    _say(f"{options.workflow} is valid, with {len(report.warnings)} warnings")


def _analyze(options: CompileOptions) -> None:
    from runtara_compiler.analysis import describe_analysis

    report, analysis = _judge(options)
    _show("error", options, report.errors)
    if options.verbose:
        _show("warning", options, report.warnings)
    if analysis is None:
        findings = {"errors": len(report.errors), "warnings": len(report.warnings)}
        _print({"validation": findings} if options.as_json else f"validation: {findings['errors']} errors")
    else:
        _print(analysis if options.as_json else describe_analysis(analysis))


def _judge(options: CompileOptions) -> tuple[ValidationReport, dict[str, Any] | None]:
    """The findings, and the analysis of a scenario that could be loaded."""
    from runtara_sdk.agents import discover_agents

    from runtara_compiler.analysis import analyze_scenario
    from runtara_compiler.service import child_sources, read_children
    from runtara_compiler.validation import validate_source

    installed = discover_agents()
    documents = {agent_id: agent.definition.metadata() for agent_id, agent in installed.agents.items()}
    scenario, report = validate_source(
        _read(options.workflow),
        documents,
        origin=str(options.workflow),
        children=child_sources(read_children(options.children)),
        key=(options.scenario or "", options.version),
    )
    return report, None if scenario is None else analyze_scenario(scenario, report, installed)


def _read(path: Path) -> bytes:
    from runtara_compiler.service import read_scenario_file

    return sys.stdin.buffer.read() if str(path) == "-" else read_scenario_file(path)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _fail(error: RuntaraError, options: CompileOptions) -> None:
    from runtara_compiler.language.diagnostics import ScenarioError

    if isinstance(error, ScenarioError):
        _show("error", options, error.diagnostics)
        errors = [diagnostic.to_json() for diagnostic in error.diagnostics]
    else:
        for line in error.message.splitlines():
            _say(f"error: {line}")
        errors = [{"code": error.code, "message": error.message}]
    if options.as_json:
        _print({"valid": False, "errors": errors})
    raise SystemExit(1)


def _show(kind: str, options: CompileOptions, diagnostics: tuple[Diagnostic, ...]) -> None:
    for diagnostic in diagnostics:
        _say(f"{kind}: {options.workflow}: {diagnostic}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _print(result: dict[str, Any] | str) -> None:
    click.echo(result if isinstance(result, str) else dump_json(result, ensure_ascii=False, indent=2))
