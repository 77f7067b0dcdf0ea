"""The commands of `runtara new`. What they need is imported when one of them runs."""

from __future__ import annotations

from pathlib import Path

import click

LICENCES = ("MIT", "Apache-2.0", "BSD-3-Clause", "AGPL-3.0-or-later", "LicenseRef-Proprietary")
"""The licences that the template offers, as SPDX expressions; the first is the default."""


@click.group()
def new() -> None:
    """Begin a project.

    \b
    Examples:
      runtara new agent weather
      runtara new agent weather --connection-type weather_service --async
    """


@new.command()
@click.argument("name")
@click.option("--distribution", metavar="NAME", help="What pip installs.  [default: runtara-agents-NAME]")
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
@click.option(
    "--licence",
    type=click.Choice(LICENCES, case_sensitive=False),
    default=LICENCES[0],
    show_default=True,
    help="Licence of the project.",
)
@click.option("--description", metavar="TEXT", help="One sentence that says what the agent does.")
@click.option("--author", metavar="NAME", help="Who holds the copyright.")
@click.option(
    "--output-directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where the directory of the project is made.  [default: the current directory]",
)
@click.option("--json", "as_json", is_flag=True, help="Print {directory, files, nextSteps}.")
def agent(
    name: str,
    *,
    distribution: str | None,
    connection_type: str,
    is_async: bool,
    licence: str,
    description: str | None,
    author: str | None,
    output_directory: Path,
    as_json: bool,
) -> None:
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
    from runtara_sdk.cli.new import agent_template_directory
    from runtara_sdk.cli.new.answers import AgentAnswers
    from runtara_sdk.cli.new.directory import write_project
    from runtara_sdk.cli.new.taken_names import refuse_taken_names
    from runtara_sdk.cli.new.template import ProjectTemplate
    from runtara_sdk.cli.text import json_text

    answers = AgentAnswers(
        name=name,
        distribution=distribution,
        connection_type=connection_type,
        capabilities="async" if is_async else "sync",
        licence=licence,
        description=description,
        author=author,
    )
    rendered = ProjectTemplate(agent_template_directory()).render(answers.given())
    refuse_taken_names(name, rendered.directory, connection_type)
    directory = write_project(output_directory / rendered.directory, rendered.files)
    steps = _next_steps(directory, name, rendered.directory)
    if as_json:
        click.echo(json_text({"directory": str(directory), "files": sorted(rendered.files), "nextSteps": steps}))
        return
    click.echo(f"made {directory} with {len(rendered.files)} files; next:")
    for step in steps:
        click.echo(f"  {step}")


def _next_steps(directory: Path, name: str, distribution: str) -> list[str]:
    import shlex

    inputs = '{"text": "Durable execution for products"}'
    return [
        f"cd {shlex.quote(str(directory))}",
        "pip install -e .",
        f"runtara agents check {distribution}",
        f"runtara agents test {name} shorten --input '{inputs}'",
        f"runtara run scenarios/shorten.json --input '{inputs}'",
        f"runtara run scenarios/shorten.json --input '{inputs}' --native",
    ]
