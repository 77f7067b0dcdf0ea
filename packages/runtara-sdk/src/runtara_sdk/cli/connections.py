"""`runtara connections`: what a connection service keeps, without ever showing a secret."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import click

from runtara_sdk.cli.text import json_text, table
from runtara_sdk.errors import ConfigurationError, InvalidInputError, RuntaraError
from runtara_sdk.json_argument import read_text

if TYPE_CHECKING:
    from runtara_sdk.agents import ConnectionType

TIMEOUT_SECONDS = 30.0


class _Service:
    """The management side of a connection service."""

    def __init__(self, url: str | None, key: str | None, tenant_id: str) -> None:
        self._url = url
        self._key = key
        self._tenant_id = tenant_id

    @property
    def _base(self) -> str:
        if self._url is None:
            raise ConfigurationError("there is no connection service to ask: set CONNECTION_SERVICE_URL, or --service")
        if not self._url.lower().startswith(("http://", "https://")):
            raise ConfigurationError(f"the address of the connection service is no http or https URL: {self._url}")
        return f"{self._url.rstrip('/')}/{quote(self._tenant_id, safe='')}"

    def ask(self, method: str, connection_id: str | None = None, body: Any = None) -> dict[str, Any]:
        """What it answers; raises `RuntaraError` with its reason."""
        place = self._base if connection_id is None else f"{self._base}/{quote(connection_id, safe='')}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(place, data=content, method=method)  # noqa: S310 - http and https alone
        request.add_header("Accept", "application/json")
        if content is not None:
            request.add_header("Content-Type", "application/json")
        if self._key:
            request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
                answer: dict[str, Any] = json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                self._refuse(error.code, error.read(4096))
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise RuntaraError(f"the connection service at {self._base} cannot be used: {reason}") from None
        return answer

    @staticmethod
    def _refuse(status: int, content: bytes) -> NoReturn:
        try:
            reason = str(json.loads(content)["error"])[:300]
        except (ValueError, KeyError, TypeError):
            reason = "no reason was given"
        hint = ": set CONNECTION_SERVICE_KEY" if status == 401 else ""
        raise RuntaraError(f"the connection service refused ({status}): {reason}{hint}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could carry the key elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))


@click.group()
@click.option(
    "--service",
    envvar="CONNECTION_SERVICE_URL",
    metavar="URL",
    help="The connection service.  [env: CONNECTION_SERVICE_URL]",
)
@click.option("--key", envvar="CONNECTION_SERVICE_KEY", help="Its management key.  [env: CONNECTION_SERVICE_KEY]")
@click.option("--tenant", "tenant_id", default="default", show_default=True, help="Owner of the connections.")
@click.pass_context
def connections(ctx: click.Context, service: str | None, key: str | None, tenant_id: str) -> None:
    """Keep credentials in a connection service, where workflows fetch them.

    examples/connection_service.py of the repository is such a service. Secrets are asked for, or read from files; they
    are never printed.

    \b
    Examples:
      runtara connections add shop --type http_bearer --set base_url=https://api.example.com
      runtara connections add shop --type http_bearer --set token=@token.txt
      runtara connections list --json
      runtara connections test shop
      runtara connections remove shop
    """
    ctx.obj = _Service(service, key, tenant_id)


@connections.command("add")
@click.argument("connection_id")
@click.option(
    "--type", "integration_id", required=True, metavar="TYPE", help="Kind of connection, such as http_bearer."
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE|@FILE", help="A parameter (repeatable).")
@click.pass_obj
def add(service: _Service, connection_id: str, integration_id: str, settings: tuple[str, ...]) -> None:
    """Store a connection, in place of the one of this id.

    Required secrets that are not given are asked for, when a person is there to answer.

    \b
    Examples:
      runtara connections add shop --type http_api_key --set api_key=@key.txt --set header_name=X-Shop-Key
    """
    kind = _kind(integration_id)
    parameters = _parameters(kind, settings)
    for field in kind.fields:
        if field.required and field.secret and field.name not in parameters and sys.stdin.isatty():
            parameters[field.name] = click.prompt(field.display_name or field.name, hide_input=True)
    if problems := kind.problems(parameters):
        raise InvalidInputError(f"a connection of the type {integration_id}: {'; '.join(problems)}")
    service.ask("PUT", connection_id, {"integration_id": integration_id, "parameters": parameters})
    click.echo(f"stored {connection_id}")


@connections.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_connections(service: _Service, *, as_json: bool) -> None:
    """List connections with their types and the names of their parameters."""
    found = service.ask("GET").get("connections", [])
    if as_json:
        click.echo(json_text(found))
        return
    rows = [
        [
            str(item.get("id")),
            str(item.get("integration_id")),
            ", ".join(map(str, item.get("parameters", ()))),
            _time(item.get("updated_at")),
        ]
        for item in found
    ]
    for line in table(["CONNECTION", "TYPE", "PARAMETERS", "UPDATED"], rows):
        click.echo(line)


@connections.command("test")
@click.argument("connection_id")
@click.pass_obj
def test(service: _Service, connection_id: str) -> None:
    """Fetch a connection as a workflow does, and see whether it has what its type wants."""
    answer = service.ask("GET", connection_id)
    parameters = answer.get("parameters")
    if not isinstance(parameters, dict):
        raise RuntaraError("the connection service answered without parameters")
    kind = _kind(str(answer.get("integration_id")))
    if problems := kind.problems(parameters):
        raise RuntaraError(
            f"{connection_id} is no whole connection of the type {kind.integration_id}: {'; '.join(problems)}"
        )
    click.echo(f"{connection_id}: {kind.display_name}, with {', '.join(sorted(parameters)) or 'no parameters'}")


@connections.command("remove")
@click.argument("connection_id")
@click.pass_obj
def remove(service: _Service, connection_id: str) -> None:
    """Remove a connection; workflows that need it fail with CONNECTION_NOT_FOUND from then on."""
    service.ask("DELETE", connection_id)
    click.echo(f"removed {connection_id}")


def _kind(integration_id: str) -> ConnectionType:
    """The type as an installed agent declares it."""
    from runtara_sdk.agents import discover_agents

    installed = discover_agents().agents.values()
    kinds = {kind.integration_id: kind for agent in installed for kind in agent.definition.connection_types}
    if integration_id not in kinds:
        raise InvalidInputError(
            f"no installed agent takes connections of the type {integration_id!r} (types: {', '.join(sorted(kinds))})"
        )
    return kinds[integration_id]


def _parameters(kind: ConnectionType, settings: tuple[str, ...]) -> dict[str, Any]:
    types = {field.name: field.type for field in kind.fields}
    parameters: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"--set {name or setting!r} must have the form NAME=VALUE or NAME=@FILE")
        if name in parameters:
            raise InvalidInputError(f"--set {name} is given twice")
        value = read_text(text, f"--set {name}").rstrip("\r\n") if text.startswith("@") else text
        parameters[name] = _converted(name, value, types.get(name, "string"))
    return parameters


def _converted(name: str, text: str, type_name: str) -> Any:
    if type_name == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidInputError(f"--set {name} must be of the type {type_name}") from None


def _time(seconds: Any) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if isinstance(seconds, int) else ""
