#!/usr/bin/env python3
"""A connection service: keeps the credentials of tenants encrypted, and gives them to running instances.

    python examples/connection_service.py --data-dir .data/connections --port 8010

Products usually have such a service already; this one shows the contract and serves small installations. It keeps an
SQLite file and a file of keys (readable by its owner only), which it makes on the first start, together with a key for
`runtara connections`; it says where that lies.

    GET    /TENANT/CONNECTION?instanceId=...   {"integration_id", "parameters"}; what instances ask
    GET    /TENANT                             {"connections": [{"id", "integration_id", "parameters", "updated_at"}]}
    PUT    /TENANT/CONNECTION                  {"integration_id", "parameters"}
    DELETE /TENANT/CONNECTION

The last three want the management key as bearer token; in a list `parameters` are names only. The first one takes the
key, too, or the token of the instance that asks: with `--core HOST:PORT` core is asked whether the token belongs to a
running instance of that tenant. Without `--core` anybody on this machine may ask, which suits `runtara run`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

MAXIMUM_BYTES = 1 << 20
_ACCEPTED_SECONDS = 30.0
_CORE_SECONDS = 5.0


class Vault:
    """Connections in an SQLite file, each encrypted together with its place, so that none passes for another.

    The first key of the file `keys` encrypts; all of them decrypt. To change keys, put a new one first: connections
    that are written from then on use it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = _own_file(directory / "keys", lambda: Fernet.generate_key().decode()).split()
        self._cipher = MultiFernet([Fernet(line) for line in lines])
        self._database = sqlite3.connect(directory / "connections.db", check_same_thread=False)
        self._turn = threading.Lock()
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS connections (tenant TEXT, id TEXT, content BLOB NOT NULL, updated_at INTEGER, "
            "PRIMARY KEY (tenant, id))"
        )
        (directory / "connections.db").chmod(0o600)

    def put(self, tenant: str, name: str, connection: Mapping[str, Any]) -> None:
        """Store a connection in place of the one that is there."""
        content = self._cipher.encrypt(json.dumps({"place": [tenant, name], "connection": connection}).encode())
        with self._turn, self._database:
            self._database.execute(
                "INSERT INTO connections VALUES (?, ?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET "
                "content = excluded.content, updated_at = excluded.updated_at",
                (tenant, name, content, int(time.time())),
            )

    def get(self, tenant: str, name: str) -> dict[str, Any] | None:
        """A connection, or None; raises `ValueError` for one that no key opens or that belongs elsewhere."""
        with self._turn:
            row = self._database.execute(
                "SELECT content FROM connections WHERE tenant = ? AND id = ?", (tenant, name)
            ).fetchone()
        return None if row is None else self._opened(tenant, name, row[0])

    def delete(self, tenant: str, name: str) -> bool:
        """Remove a connection; returns whether it was there."""
        with self._turn, self._database:
            done = self._database.execute("DELETE FROM connections WHERE tenant = ? AND id = ?", (tenant, name))
        return done.rowcount == 1

    def list(self, tenant: str) -> list[dict[str, Any]]:
        """The connections of a tenant without the values of their parameters."""
        with self._turn:
            rows = self._database.execute(
                "SELECT id, content, updated_at FROM connections WHERE tenant = ? ORDER BY id", (tenant,)
            ).fetchall()
        listed = []
        for name, content, updated_at in rows:
            found = self._opened(tenant, name, content)
            kind, parameters = found["integration_id"], sorted(found["parameters"])
            listed.append({"id": name, "integration_id": kind, "parameters": parameters, "updated_at": updated_at})
        return listed

    def _opened(self, tenant: str, name: str, content: bytes) -> dict[str, Any]:
        try:
            document = json.loads(self._cipher.decrypt(content))
        except InvalidToken:
            raise ValueError(f"no key opens the connection {name!r} of {tenant!r}") from None
        if document["place"] != [tenant, name]:
            raise ValueError(f"the content of the connection {name!r} of {tenant!r} belongs elsewhere")
        connection: dict[str, Any] = document["connection"]
        return connection


class Gate:
    """Who may do what: the management key everything, a running instance read the connections of its tenant."""

    def __init__(self, management_key: str, core: str | None) -> None:
        self._key = management_key
        self._core = core
        self._accepted: dict[str, float] = {}

    def may_manage(self, token: str | None) -> bool:
        """Whether a bearer token is the management key."""
        return token is not None and hmac.compare_digest(token.encode(), self._key.encode())

    def may_read(self, token: str | None, tenant: str, instance_id: str | None) -> bool:
        """Whether a caller may have a connection of a tenant."""
        if self._core is None or self.may_manage(token):
            return True
        if not token or not instance_id:
            return False
        name = hashlib.sha256(f"{tenant}\0{instance_id}\0{token}".encode()).hexdigest()
        now = time.monotonic()
        if self._accepted.get(name, 0) > now:
            return True
        if not asyncio.run(_is_running(self._core, tenant, instance_id, token)):
            return False
        self._accepted = {key: until for key, until in self._accepted.items() if until > now}
        self._accepted[name] = now + _ACCEPTED_SECONDS
        return True


async def _is_running(core: str, tenant: str, instance_id: str, token: str) -> bool:
    """Whether core knows a running instance of the tenant by this token."""
    from runtara_sdk import RuntaraSdk
    from runtara_sdk.errors import RuntaraError
    from runtara_sdk.instance_settings import InstanceSettings
    from runtara_sdk.settings import EnvironmentReader

    own = {
        "RUNTARA_INSTANCE_ID": instance_id,
        "RUNTARA_TENANT_ID": tenant,
        "RUNTARA_SERVER_ADDR": core,
        "RUNTARA_INSTANCE_TOKEN": token,
    }
    sdk = RuntaraSdk(InstanceSettings.from_environment(EnvironmentReader({**os.environ, **own})))
    try:
        async with asyncio.timeout(_CORE_SECONDS):
            await sdk.connect()
            try:
                report = await sdk.get_status()
            finally:
                await sdk.close()
    except (RuntaraError, OSError, TimeoutError):
        return False
    return report.found and report.status is not None and report.status.value == "running"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    vault: Vault
    gate: Gate
    timeout = 30

    def do_GET(self) -> None:
        """A connection, or the list of a tenant."""
        match self._place():
            case [tenant, name]:
                if not self.gate.may_read(self._token(), tenant, self._query("instanceId")):
                    return self._refuse(401, "this wants the token of a running instance, or the management key")
                found = self.vault.get(tenant, name)
                return self._refuse(404, "there is no such connection") if found is None else self._answer(200, found)
            case [tenant]:
                if not self._may_manage():
                    return None
                return self._answer(200, {"connections": self.vault.list(tenant)})
        return self._refuse(404, "the path is /TENANT or /TENANT/CONNECTION")

    def do_PUT(self) -> None:
        """Store a connection."""
        if not self._may_manage():
            return None
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAXIMUM_BYTES:
            return self._refuse(413, f"the body must have a length of at most {MAXIMUM_BYTES} bytes")
        try:
            document = json.loads(self.rfile.read(int(length)))
            connection = {"integration_id": document["integration_id"], "parameters": document["parameters"]}
        except (ValueError, KeyError, TypeError):
            connection = {}
        if not isinstance(connection.get("integration_id"), str) or not isinstance(connection.get("parameters"), dict):
            return self._refuse(400, "the body must be an object with integration_id and parameters")
        match self._place():
            case [tenant, name]:
                self.vault.put(tenant, name, connection)
                return self._answer(200, {"id": name})
        return self._refuse(404, "the path is /TENANT/CONNECTION")

    def do_DELETE(self) -> None:
        """Remove a connection."""
        if not self._may_manage():
            return None
        match self._place():
            case [tenant, name] if self.vault.delete(tenant, name):
                return self._answer(200, {"id": name})
        return self._refuse(404, "there is no such connection")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives it
        """Nothing: addresses could tell more than they should."""

    def _place(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.split("/") if part]

    def _query(self, name: str) -> str | None:
        return parse_qs(urlsplit(self.path).query).get(name, [None])[0]

    def _token(self) -> str | None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if kind.lower() == "bearer" and token else None

    def _may_manage(self) -> bool:
        if self.gate.may_manage(self._token()):
            return True
        self._refuse(401, "this wants the management key")
        return False

    def _refuse(self, status: int, text: str) -> None:
        self._answer(status, {"error": text})

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


def _own_file(path: Path, make: Any) -> str:
    """The text of a file that only its owner may read, made on the first start."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(make() + "\n")
    return path.read_text().strip()


def main() -> None:
    """Serve until the process is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path(".data/connections"), help="database and keys")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; others than this machine want TLS")
    parser.add_argument("--port", type=int, default=8010)
    parser.add_argument("--core", metavar="HOST:PORT", help="where the tokens of instances are checked")
    options = parser.parse_args()
    if options.core is None and options.host not in ("127.0.0.1", "::1", "localhost"):
        parser.error("--host opens this to others: give --core, so that only running instances are answered")
    Handler.vault = Vault(options.data_dir)
    Handler.gate = Gate(_own_file(options.data_dir / "management-key", lambda: secrets.token_urlsafe(32)), options.core)
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    server.daemon_threads = True
    print(f"connections are served at http://{options.host}:{server.server_port}", flush=True)
    print(f"the management key is in {options.data_dir / 'management-key'}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
