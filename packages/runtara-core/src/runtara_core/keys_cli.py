"""`runtara keys`: API keys, the rotation of token secrets and of the certificate authority.

Works on the database and the data directory themselves, whether daemons run or not; they follow within seconds (keys,
secrets) or a minute (certificates).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from runtara_sdk.errors import ConfigurationError, InvalidInputError
from runtara_sdk.settings import EnvironmentReader

if TYPE_CHECKING:
    from runtara_core.security import ApiKeyRecord, CredentialStore

Result = TypeVar("Result")

_MAX_NAME = 200

_database_url = click.option(
    "--database-url",
    metavar="URL",
    help="Database of the daemons.  [default: RUNTARA_DATABASE_URL, else SQLite in the data directory]",
)
_data_dir = click.option(
    "--data-dir", metavar="DIR", type=click.Path(file_okay=False), help="Instead of DATA_DIR (.data)."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(
    short_help="Make, list and revoke API keys; rotate secrets.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
def keys() -> None:
    """Make, list and revoke API keys; rotate token secrets and the certificate authority.

    As soon as one key exists, the daemons serve no call without a valid one. A tenant's key is good for that tenant
    alone; an operator's for all, and the environment needs one (RUNTARA_API_KEY) to reach core.

    \b
    Examples:
      export RUNTARA_API_KEY=$(runtara keys create --operator --name environment)
      runtara keys create --tenant acme --name billing
      runtara keys list
      runtara keys revoke 3f9c0e5b7a214d68
    """


@keys.command()
@click.option("--tenant", metavar="ID", help="Make a key that is good for this tenant alone.")
@click.option("--operator", is_flag=True, help="Make a key that is good for everything.")
@click.option("--name", default="", help="What to call it.")
@_database_url
@_data_dir
@_as_json
def create(
    *, tenant: str | None, operator: bool, name: str, database_url: str | None, data_dir: str | None, as_json: bool
) -> None:
    """Make an API key and print it, this one time.

    \b
    Examples:
      runtara keys create --operator --name environment
      runtara keys create --tenant acme --name billing --json
    """
    from runtara_sdk.clock import SystemClock
    from runtara_sdk.identifiers import validate_identifier

    from runtara_core.security import issue_api_key

    if operator == (tenant is not None):
        raise click.UsageError("give either --tenant ID or --operator")
    if tenant is not None:
        validate_identifier("tenant_id", tenant)
    if len(name) > _MAX_NAME or not name.isprintable():
        raise InvalidInputError(f"--name is not one printable line of at most {_MAX_NAME} characters")
    issued = issue_api_key(tenant_id=tenant, name=name, now_ms=SystemClock().now_ms())
    url = _url(database_url, data_dir)
    new = ", which is new" if _missing_file(url) is not None else ""
    _with_store(url, lambda store: store.create_api_key(issued.record))
    # The key is good for daemons on this very database: whoever meant another one reads so here.
    click.echo(f"key {issued.record.key_id} is in {_location(url)}{new}", err=True)
    if as_json:
        click.echo(json.dumps({**_as_dict(issued.record), "key": issued.text}, indent=2))
    else:
        click.echo(issued.text)
        click.echo("keep it: it is not shown again", err=True)


@keys.command("list")
@click.option("--all", "include_revoked", is_flag=True, help="Revoked ones, too.")
@_database_url
@_data_dir
@_as_json
def list_(*, include_revoked: bool, database_url: str | None, data_dir: str | None, as_json: bool) -> None:
    """List the keys, newest first; never the keys themselves.

    \b
    Example:
      runtara keys list --all
    """
    url = _existing(_url(database_url, data_dir))
    records = _with_store(url, lambda store: store.list_api_keys(include_revoked=include_revoked))
    if as_json:
        click.echo(json.dumps([_as_dict(record) for record in records], indent=2))
        return
    for record in records:
        whose = "operator" if record.tenant_id is None else f"tenant {record.tenant_id}"
        revoked = "" if record.revoked_at_ms is None else f"  revoked {_day(record.revoked_at_ms)}"
        click.echo(f"{record.key_id}  {whose}  {_day(record.created_at_ms)}  {record.name}{revoked}".rstrip())


@keys.command()
@click.argument("key_id", metavar="ID")
@_database_url
@_data_dir
@_as_json
def revoke(*, key_id: str, database_url: str | None, data_dir: str | None, as_json: bool) -> None:
    """Revoke the key ID (the digits between the two underscores of a key) for good.

    Daemons refuse it within five seconds.

    \b
    Example:
      runtara keys revoke 3f9c0e5b7a214d68
    """
    from runtara_sdk.clock import SystemClock

    async def work(store: CredentialStore) -> tuple[ApiKeyRecord | None, int]:
        record = await store.revoke_api_key(key_id, now_ms=SystemClock().now_ms())
        return record, len(await store.list_api_keys(include_revoked=False))

    record, left = _with_store(_existing(_url(database_url, data_dir)), work)
    if record is None:
        raise InvalidInputError(f"there is no API key {key_id[:40]}: see `runtara keys list`")
    if as_json:
        click.echo(json.dumps(_as_dict(record), indent=2))
    else:
        click.echo(f"{record.key_id} revoked", err=True)
    if not left:
        click.echo("no key is left: daemons on the loopback address serve without one now", err=True)


@keys.command("rotate-tokens")
@_database_url
@_data_dir
@_as_json
def rotate_tokens(*, database_url: str | None, data_dir: str | None, as_json: bool) -> None:
    """Sign the tokens of instances with a new secret.

    Tokens of the secret before stay valid until the next rotation, so that running instances go on. Rotate a second
    time, once all launches of before have ended, to make them worthless.

    \b
    Example:
      runtara keys rotate-tokens
    """
    from runtara_sdk.clock import SystemClock

    from runtara_core.security import TokenSecret

    secrets = _with_store(
        _existing(_url(database_url, data_dir)),
        lambda store: store.rotate_token_secret(TokenSecret.generate(), now_ms=SystemClock().now_ms()),
    )
    previous = None if secrets.previous is None else secrets.previous.secret_id
    if as_json:
        click.echo(json.dumps({"current": secrets.current.secret_id, "previous": previous}, indent=2))
    else:
        click.echo(
            f"secret {secrets.current.secret_id} signs now, {previous or 'no other'} is still accepted", err=True
        )


@keys.command("rotate-ca")
@click.argument("step", type=click.Choice(["prepare", "switch", "finish"]))
@_data_dir
@_as_json
def rotate_ca(*, step: str, data_dir: str | None, as_json: bool) -> None:
    """Replace the certificate authority of a data directory, in three steps.

    prepare makes the new authority; clients must then get the new ca.pem, which trusts both. switch signs the
    daemons' certificates with it (running daemons follow within a minute). finish ends the trust in the old one;
    clients should get that ca.pem, too.

    \b
    Examples:
      runtara keys rotate-ca prepare
      runtara keys rotate-ca switch
      runtara keys rotate-ca finish
    """
    from runtara_core.certificate_files import RotationStep
    from runtara_core.certificates import rotate_authority

    path = rotate_authority(_directory(data_dir), RotationStep(step))
    if as_json:
        click.echo(json.dumps({"step": step, "ca_file": str(path)}, indent=2))
        return
    advice = {
        "prepare": f"hand {path} to every client that keeps a copy, then run `runtara keys rotate-ca switch`",
        "switch": "wait a minute (or restart the daemons), then run `runtara keys rotate-ca finish`",
        "finish": f"the old authority is not trusted any more; hand {path} to every client that keeps a copy",
    }
    click.echo(advice[step], err=True)


def _url(database_url: str | None, data_dir: str | None) -> str:
    url = database_url or EnvironmentReader().optional_text("RUNTARA_DATABASE_URL")
    return url or str(_directory(data_dir) / "runtara.db")


def _missing_file(url: str) -> Path | None:
    """The file of an SQLite database that does not exist yet."""
    from runtara_core.database.urls import DatabaseUrl, is_sql_url

    path = DatabaseUrl.parse(url).path if is_sql_url(url) else None
    return None if path is None or path.exists() else path.absolute()


def _existing(url: str) -> str:
    """The URL again; raises `ConfigurationError` where a new database would be made, in which nothing can be found."""
    path = _missing_file(url)
    if path is not None:
        raise ConfigurationError(
            f"there is no database {path}: name that of the daemons with --database-url or RUNTARA_DATABASE_URL, "
            "or their data directory with --data-dir or DATA_DIR"
        )
    return url


def _location(url: str) -> str:
    """Where a database is, for people: without credentials, a file with its whole path."""
    from runtara_core.database.urls import DatabaseUrl, is_sql_url, url_scheme

    if not is_sql_url(url):
        return f"the storage {url_scheme(url)}"
    database = DatabaseUrl.parse(url)
    return database.location if database.path is None else f"SQLite file {database.path.absolute()}"


def _with_store(url: str, work: Callable[[CredentialStore], Awaitable[Result]]) -> Result:
    from runtara_core.storages import open_storage

    async def run() -> Result:
        storage = await open_storage(url)
        await storage.open()
        try:
            return await work(storage.credentials)
        finally:
            await storage.close()

    return asyncio.run(run())


def _directory(data_dir: str | None) -> Path:
    return Path(data_dir or EnvironmentReader().text("DATA_DIR", ".data")).absolute()


def _as_dict(record: ApiKeyRecord) -> dict[str, Any]:
    return {
        "key_id": record.key_id,
        "tenant_id": record.tenant_id,
        "name": record.name,
        "created_at_ms": record.created_at_ms,
        "revoked_at_ms": record.revoked_at_ms,
    }


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}"
