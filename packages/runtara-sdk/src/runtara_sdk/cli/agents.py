"""`runtara agents`: what installed agents can do, a call of one of them, and whether they keep what they promise."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.agent_text import agent_lines, capability_lines
from runtara_sdk.cli.agents_check import check
from runtara_sdk.cli.text import json_text, table
from runtara_sdk.errors import InvalidInputError, RuntaraError
from runtara_sdk.json_argument import read_json

if TYPE_CHECKING:
    from runtara_sdk.agents import DiscoveredAgent

_DEFAULT_TIMEOUT_MS = 30_000


@click.group()
def agents() -> None:
    """See, try and check the installed agents.

    \b
    Examples:
      runtara agents list
      runtara agents show http http-request
      runtara agents test text slugify --input '{"text": "Café Zürich"}'
      runtara agents check runtara-agents-http
    """


@agents.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with all that is declared.")
def list_agents(*, as_json: bool) -> None:
    """List the installed agents.

    \b
    Examples:
      runtara agents list
      runtara agents list --json
    """
    from runtara_sdk.agents import discover_agents

    found = discover_agents()
    if as_json:
        click.echo(json_text(found.metadata()))
        return
    rows = [
        [
            agent_id,
            str(len(each.definition.capabilities)),
            f"{each.distribution} {each.version}",
            ", ".join(each.definition.integration_ids),
        ]
        for agent_id, each in sorted(found.agents.items())
    ]
    for line in table(["AGENT", "CAPABILITIES", "DISTRIBUTION", "CONNECTIONS"], rows):
        click.echo(line)
    for broken in found.broken:
        click.echo(f"left out: {broken.name} of {broken.distribution}: {broken.reason}", err=True)


@agents.command()
@click.argument("agent_id")
@click.argument("capability_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print all that is declared, with JSON Schemas, as JSON.")
def show(agent_id: str, capability_id: str | None, *, as_json: bool) -> None:
    """Show an agent, or one of its capabilities with inputs, result, errors and an example.

    \b
    Examples:
      runtara agents show transform
      runtara agents show http http-request
      runtara agents show http http-request --json
    """
    definition = _agent(agent_id).definition
    if capability_id is None:
        if as_json:
            click.echo(json_text(definition.metadata()))
            return
        for line in agent_lines(definition.metadata()):
            click.echo(line)
        return
    capability = definition.capability(capability_id)
    if as_json:
        schemas = {"inputSchema": capability.input_schema(), "outputSchema": capability.output_schema()}
        click.echo(json_text({**capability.metadata(), **schemas}))
        return
    for line in capability_lines(definition.id, capability.metadata()):
        click.echo(line)


@agents.command()
@click.argument("agent_id")
@click.argument("capability_id")
@click.option("--input", "given", default="{}", metavar="JSON|@FILE", help="The inputs.  [default: {}]")
@click.option("--connection", metavar="ID", help="A connection of the connection service (CONNECTION_SERVICE_URL).")
@click.option("--tenant", default="default", show_default=True, help="Owner of the connection.")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Its files.  [default: a directory for the call]",
)
@click.option("--timeout-ms", default=_DEFAULT_TIMEOUT_MS, show_default=True, type=click.IntRange(1), help="Bound.")
@click.option("--json", "as_json", is_flag=True, help="Print {success, output or error, execution_time_ms}.")
@click.pass_context
def test(
    ctx: click.Context,
    agent_id: str,
    capability_id: str,
    given: str,
    connection: str | None,
    tenant: str,
    workspace: Path | None,
    timeout_ms: int,
    *,
    as_json: bool,
) -> None:
    """Call a capability once, as a step does, and print its result.

    The call is really made, with all that it does. Exit code 1 means that it failed.

    \b
    Examples:
      runtara agents test transform sort --input '{"value": [3, 1, 2]}'
      runtara agents test http http-request --input @request.json --connection shop
      runtara agents test csv from-csv --workspace . --input '{"data": {"$file": "orders.csv"}}'
    """
    inputs = read_json(given, "--input")
    if not isinstance(inputs, dict):
        raise InvalidInputError("--input must be a JSON object with the inputs by name")
    found = _agent(agent_id)
    capability = found.definition.capability(capability_id)
    unknown = [name for name in inputs if capability.input_field(name) is None]
    if unknown:
        click.echo(f"note: {capability.id} has no input {', '.join(unknown)}", err=True)
    outcome = asyncio.run(_call(found, capability.id, inputs, connection, tenant, workspace, timeout_ms))
    if as_json:
        click.echo(json_text(outcome))
    elif outcome["success"]:
        click.echo(json_text(outcome["output"]))
    else:
        error = outcome["error"]
        click.echo(f"error: [{error['code']}] {error['message']}", err=True)
    ctx.exit(0 if outcome["success"] else 1)


async def _call(
    found: DiscoveredAgent,
    capability_id: str,
    inputs: Mapping[str, Any],
    connection: str | None,
    tenant: str,
    directory: Path | None,
    timeout_ms: int,
) -> dict[str, Any]:
    from runtara_sdk.agent_process.single_call import call_once
    from runtara_sdk.agents.workspace import Workspace

    if connection is not None:
        inputs = {**inputs, **await _connection_inputs(found, capability_id, connection, tenant)}
    workspace = None if directory is None else Workspace(directory.absolute())
    outcome = await call_once(found.definition, capability_id, inputs, timeout_ms=timeout_ms, workspace=workspace)
    return outcome.to_json()


async def _connection_inputs(
    found: DiscoveredAgent, capability_id: str, connection: str, tenant: str
) -> dict[str, Any]:
    import os

    from runtara_sdk.workflow.connection_client import fetch_connection
    from runtara_sdk.workflow.connections import ConnectionRequest, as_input
    from runtara_sdk.workflow.failures import StepFailedError

    request = ConnectionRequest(
        base_url=None,
        tenant_id=tenant,
        connection_id=connection,
        tag=f"{found.definition.id}_{capability_id}",
        step_id="test",
        scenario_id="",
        instance_id="",
        token=os.environ.get("CONNECTION_SERVICE_KEY"),
    )
    try:
        return {"_connection": as_input(await fetch_connection(request))}
    except StepFailedError as failure:
        raise RuntaraError(str(failure)) from None


agents.add_command(check)


def _agent(agent_id: str) -> DiscoveredAgent:
    import difflib

    from runtara_sdk.agents import discover_agents

    found = discover_agents()
    agent = found.find(agent_id)
    if agent is None:
        near = difflib.get_close_matches(agent_id.lower(), found.agents, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"installed are {', '.join(sorted(found.agents))}"
        raise InvalidInputError(f"no agent {agent_id!r} is installed; {hint}")
    return agent
