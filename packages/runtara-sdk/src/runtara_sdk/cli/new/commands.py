"""The commands of `runtara new`. What they need is imported when one of them runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from runtara_sdk.cli.new.answers import ProjectAnswers

Command = TypeVar("Command", bound=Callable[..., Any])

LICENCES = ("MIT", "Apache-2.0", "BSD-3-Clause", "AGPL-3.0-or-later", "LicenseRef-Proprietary")
"""The licences that the templates offer, as SPDX expressions; the first is the default."""

_GREETED = """--input '{"name": "Ada"}'"""


@dataclass(frozen=True)
class MadeProject:
    """A project on the disk: its directory, the name of its distribution, and its files below the directory."""

    directory: Path
    distribution: str
    files: tuple[str, ...]


@click.group()
def new() -> None:
    """Begin a project.

    \b
    Examples:
      runtara new agent weather
      runtara new agent weather --connection-type weather_service --async
      runtara new storage ledger
      runtara new runner bounded
      runtara new stdlib acme
    """


def project_options(default_distribution: str, says: str) -> Callable[[Command], Command]:
    """The argument and the options of every kind of project."""
    options = (
        click.argument("name"),
        click.option("--distribution", metavar="NAME", help=f"What pip installs.  [default: {default_distribution}]"),
        click.option(
            "--licence",
            type=click.Choice(LICENCES, case_sensitive=False),
            default=LICENCES[0],
            show_default=True,
            help="Licence of the project.",
        ),
        click.option("--description", metavar="TEXT", help=f"One sentence that says {says}."),
        click.option("--author", metavar="NAME", help="Who holds the copyright."),
        click.option(
            "--output-directory",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path(),
            metavar="DIR",
            help="Where the directory of the project is made.  [default: the current directory]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print {directory, files, nextSteps}."),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@new.command()
@project_options("runtara-agents-NAME", "what the agent does")
@click.option(
    "--connection-type",
    default="none",
    metavar="TYPE",
    help="Id of a connection type that the agent declares and one of its capabilities takes.  [default: none]",
)
@click.option(
    "--async/--sync",
    "is_async",
    default=False,
    help="Whether the capabilities are asynchronous functions.  [default: sync]",
)
def agent(*, connection_type: str, is_async: bool, output_directory: Path, as_json: bool, **common: Any) -> None:
    """Begin a distribution with the agent NAME, lower-case words with underscores.

    Writes a project that can be installed, with two capabilities, tests, types, a workflow of continuous integration
    and an example of a scenario. The directory has the name of the distribution; one that has files already is left
    alone. `cookiecutter` gives the same files from the same template.

    \b
    Examples:
      runtara new agent weather
      runtara new agent weather --distribution acme-weather --licence Apache-2.0
      runtara new agent weather --connection-type weather_service --async
      runtara new agent weather --output-directory agents --json
    """
    from runtara_sdk.cli.new.answers import AgentAnswers

    capabilities = "async" if is_async else "sync"
    answers = AgentAnswers(connection_type=connection_type, capabilities=capabilities, **common)
    project = _make(answers, output_directory)
    inputs = '{"text": "Durable execution for products"}'
    steps = [
        "pip install -e .",
        f"runtara agents check {project.distribution}",
        f"runtara agents test {answers.name} shorten --input '{inputs}'",
        f"runtara run scenarios/shorten.json --input '{inputs}'",
        f"runtara run scenarios/shorten.json --input '{inputs}' --native",
    ]
    _tell(project, steps, as_json=as_json)


@new.command()
@project_options("runtara-storage-NAME", "where the storage keeps things")
def storage(*, output_directory: Path, as_json: bool, **common: Any) -> None:
    """Begin a distribution with a storage for URLs `NAME:///...`.

    NAME is made of lower-case words with underscores, which are hyphens in the URLs. Writes a project that can be
    installed, with a storage that works, the suite that every storage has to pass, tests, types, a workflow of
    continuous integration and an example of a scenario. The directory has the name of the distribution; one that has
    files already is left alone. `cookiecutter` gives the same files from the same template.

    \b
    Examples:
      runtara new storage ledger
      runtara new storage ledger --distribution acme-ledger --licence Apache-2.0
      runtara new storage ledger --output-directory storages --json
    """
    from runtara_sdk.cli.new.answers import StorageAnswers

    answers = StorageAnswers(**common)
    project = _make(answers, output_directory)
    steps = [
        "pip install -e . --group dev",
        "pytest",
        "runtara plugins --group runtara.storage",
        f"runtara run scenarios/greeting.json {_GREETED} --database-url {answers.scheme}:///.data/state.db",
    ]
    _tell(project, steps, as_json=as_json)


@new.command()
@project_options("runtara-runner-NAME", "how the runner starts programs")
def runner(*, output_directory: Path, as_json: bool, **common: Any) -> None:
    """Begin a distribution with the runner NAME, lower-case words with underscores.

    Writes a project that can be installed, with a runner that works, the suite that every runner has to pass, tests,
    types, a workflow of continuous integration and an example of a scenario. The directory has the name of the
    distribution; one that has files already is left alone. `cookiecutter` gives the same files from the same template.

    \b
    Examples:
      runtara new runner bounded
      runtara new runner bounded --distribution acme-runner --licence Apache-2.0
      runtara new runner bounded --output-directory runners --json
    """
    from runtara_sdk.cli.new.answers import RunnerAnswers

    answers = RunnerAnswers(**common)
    project = _make(answers, output_directory)
    steps = [
        "pip install -e . --group dev",
        "pytest",
        "runtara plugins --group runtara.runners",
        f"runtara run scenarios/greeting.json {_GREETED} --runner {answers.name}",
    ]
    _tell(project, steps, as_json=as_json)


@new.command()
@project_options("NAME-stdlib", "what the bundle offers")
def stdlib(*, output_directory: Path, as_json: bool, **common: Any) -> None:
    """Begin a distribution with the bundle of agents of the product NAME, lower-case words with underscores.

    Writes a project that can be installed, with a bundle that leaves one standard agent out and brings one of its own,
    tests, types, a workflow of continuous integration and an example of a scenario with cases. The directory has the
    name of the distribution; one that has files already is left alone. `cookiecutter` gives the same files from the
    same template.

    \b
    Examples:
      runtara new stdlib acme
      runtara new stdlib acme --distribution acme-agents --licence Apache-2.0
      runtara new stdlib acme --output-directory bundles --json
    """
    from runtara_sdk.cli.new.answers import StdlibAnswers, module_name

    project = _make(StdlibAnswers(**common), output_directory)
    steps = [
        "pip install -e . --group dev",
        f"export RUNTARA_STDLIB_NAME={module_name(project.distribution)}",
        "pytest",
        "runtara agents list",
        """runtara run scenarios/reference.json --input '{"number": 42}'""",
        """runtara run scenarios/reference.json --input '{"number": 42}' --native""",
    ]
    _tell(project, steps, as_json=as_json)


def _make(answers: ProjectAnswers, output_directory: Path) -> MadeProject:
    """Check the names of a project that are not given but follow from others, and write it."""
    from runtara_sdk.cli.new import template_directory
    from runtara_sdk.cli.new.answers import check_module
    from runtara_sdk.cli.new.directory import write_project
    from runtara_sdk.cli.new.taken_names import refuse_taken_names
    from runtara_sdk.cli.new.template import ProjectTemplate

    rendered = ProjectTemplate(template_directory(answers.kind)).render(answers.given())
    distribution = rendered.directory
    check_module(distribution)
    refuse_taken_names(answers, distribution)
    directory = write_project(output_directory / distribution, rendered.files)
    return MadeProject(directory, distribution, tuple(sorted(rendered.files)))


def _tell(project: MadeProject, steps: list[str], *, as_json: bool) -> None:
    """Say what was made, and which commands come next."""
    import shlex

    from runtara_sdk.cli.text import json_text

    steps = [f"cd {shlex.quote(str(project.directory))}", *steps]
    if as_json:
        shown = {"directory": str(project.directory), "files": list(project.files), "nextSteps": steps}
        click.echo(json_text(shown))
        return
    click.echo(f"made {project.directory} with {len(project.files)} files; next:")
    for step in steps:
        click.echo(f"  {step}")
