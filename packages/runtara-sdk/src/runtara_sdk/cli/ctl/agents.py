"""Agents of an environment: listed, shown, tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runtara_sdk.cli.agent_text import agent_lines, capability_lines
from runtara_sdk.cli.ctl.target import ask, common_options, print_json, print_lines, wants_json
from runtara_sdk.cli.errors import EXIT_FAILED
from runtara_sdk.cli.text import json_text, one_line, table
from runtara_sdk.errors import CapabilityNotFoundError, InvalidInputError
from runtara_sdk.json_argument import read_json

if TYPE_CHECKING:
    from runtara_sdk.management import AgentInfo, ManagementSdk


@click.group()
@common_options
def agents() -> None:
    """See and test the agents that workflows of the environment may use.

    These are the agents that are installed beside the environment, or those of the bundle that its
    RUNTARA_STDLIB_NAME names.

    \b
    Examples:
      runtara-ctl agents list
      runtara-ctl agents show transform sort
      runtara-ctl agents test transform sort --tenant acme --input '{"value": [3, 1, 2]}'
    """


@agents.command("list")
@common_options
def list_agents() -> None:
    """List the agents.

    \b
    Examples:
      runtara-ctl agents list
      runtara-ctl agents list --json | jq -r '.[].id'
    """
    found = ask(lambda sdk: sdk.list_agents())
    if wants_json():
        click.echo(json_text([dict(agent.document) for agent in found]))
        return
    rows = [
        (agent.agent_id, str(len(agent.capabilities)), ", ".join(agent.integration_ids), one_line(agent.description))
        for agent in found
    ]
    print_lines(table(("AGENT", "CAPABILITIES", "CONNECTIONS", "DESCRIPTION"), rows))


@agents.command()
@click.argument("agent_id")
@click.argument("capability_id", required=False)
@common_options
def show(agent_id: str, capability_id: str | None) -> None:
    """Show an agent, or one of its capabilities with inputs, result, errors and examples.

    With --json a capability has the JSON Schemas of inputs and result.

    \b
    Examples:
      runtara-ctl agents show transform
      runtara-ctl agents show http http-request
      runtara-ctl agents show http http-request --json | jq .inputSchema
    """
    if capability_id is None:
        agent = ask(lambda sdk: _find_agent(sdk, agent_id))
        if wants_json():
            click.echo(json_text(dict(agent.document)))
        else:
            print_lines(list(agent_lines(agent.document)))
        return
    capability = ask(lambda sdk: sdk.get_capability(agent_id, capability_id))
    if wants_json():
        click.echo(json_text(dict(capability.document)))
    else:
        print_lines(list(capability_lines(agent_id.lower(), capability.document)))


@agents.command()
@click.argument("agent_id")
@click.argument("capability_id")
@click.option("--tenant", required=True, help="For whom the call is made.")
@click.option("--input", "given", default="{}", metavar="JSON|@FILE", help="The inputs.  [default: {}]")
@click.option(
    "--connection",
    metavar="JSON|@FILE",
    help="A connection with its secrets, {integration_id, parameters}; a file keeps them out of the list of processes.",
)
@click.option("--timeout-ms", type=click.IntRange(1, 300_000), default=30_000, show_default=True, help="Bound.")
@click.option(
    "--runner", metavar="TYPE", help="What makes the call: native, oci, ...  [default: the environment's own]"
)
@common_options
def test(
    agent_id: str,
    capability_id: str,
    tenant: str,
    given: str,
    connection: str | None,
    timeout_ms: int,
    runner: str | None,
) -> None:
    """Call a capability once on the environment's host, and print its result.

    The call is really made, with all that it does, so the environment has to
    allow it (ENABLE_AGENT_TESTING). Exit code 1 means that it failed.

    \b
    Examples:
      runtara-ctl agents test transform sort --tenant acme --input '{"value": [3, 1, 2]}'
      runtara-ctl agents test http http-request --tenant acme --input @request.json --connection @shop.json
      runtara-ctl agents test csv from-csv --tenant acme --input @orders.json --timeout-ms 60000 --json
      runtara-ctl agents test transform sort --tenant acme --input '{"value": [3, 1, 2]}' --runner oci
    """
    inputs = _read_object(given, "--input")
    secrets = None if connection is None else _read_object(connection, "--connection")
    result = ask(
        lambda sdk: sdk.test_capability(
            agent_id,
            capability_id,
            inputs,
            tenant_id=tenant,
            connection=secrets,
            timeout_ms=timeout_ms,
            runner=runner,
        )
    )
    if wants_json(otherwise=False):
        print_json(result)
    elif result.error is None:
        click.echo(json_text(result.output))
    else:
        click.echo(f"error: [{result.error.code}] {one_line(result.error.message, longest=2_000)}", err=True)
    if not result.success:
        click.get_current_context().exit(EXIT_FAILED)


def _read_object(value: str, option: str) -> dict[str, object]:
    document = read_json(value, option)
    if not isinstance(document, dict):
        raise InvalidInputError(f"{option} must be a JSON object")
    return document


async def _find_agent(sdk: ManagementSdk, agent_id: str) -> AgentInfo:
    found = await sdk.list_agents()
    for agent in found:
        if agent.agent_id == agent_id.lower():
            return agent
    known = ", ".join(agent.agent_id for agent in found) or "none"
    raise CapabilityNotFoundError(f"the environment has no agent {agent_id!r} (there are {known})")
