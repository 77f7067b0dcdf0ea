"""The connection service of the examples, `runtara connections`, and workflows that fetch from it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from runtara_core.testing.ports import choose_port

REPOSITORY = Path(__file__).parents[2]
SECRET = "s3cret-t0ken-of-the-shop"
WAIT_SECONDS = 60


@pytest.fixture
def shop() -> Iterator[tuple[str, list[str | None]]]:
    """An API that notes the credentials of its callers, and accepts the secret."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            body = b'{"sold": 3}'
            self.send_response(200 if seen[-1] == f"Bearer {SECRET}" else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


class Service:
    """The service in a process, and the commands against it."""

    def __init__(self, product: Any, *options: str, tenant: str = "default") -> None:
        self.product = product
        self.tenant = tenant
        self.directory = product.directory / "connections"
        port = choose_port(socket.SOCK_STREAM)
        words = ("--data-dir", self.directory, "--port", port, *options)
        self.process = product.start(sys.executable, REPOSITORY / "examples" / "connection_service.py", *words)
        found: re.Match[str] = self.process.wait_for(r"served at (\S+)")
        self.process.wait_for("management key is in")
        self.env = {
            "CONNECTION_SERVICE_URL": found[1],
            "CONNECTION_SERVICE_KEY": (self.directory / "management-key").read_text().strip(),
        }

    def run(self, *words: object, **env: str) -> Any:
        return self.product.run("runtara", "connections", "--tenant", self.tenant, *words, **{**self.env, **env})


def scenario(url: str) -> dict[str, Any]:
    return {
        "steps": {
            "call": {
                "stepType": "Agent",
                "agentId": "http",
                "capabilityId": "http-request",
                "connectionId": "shop",
                "maxRetries": 0,
                "inputMapping": {"url": {"valueType": "immediate", "value": f"{url}/orders"}},
            },
            "end": {
                "stepType": "Finish",
                "inputMapping": {"outputs": {"valueType": "reference", "value": "steps.call.outputs.body"}},
            },
        },
        "executionPlan": [{"fromStep": "call", "toStep": "end"}],
    }


def test_connections_are_kept_and_used(product: Any, shop: tuple[str, list[str | None]]) -> None:
    url, seen = shop
    service = Service(product)
    token = product.write("token.txt", f"{SECRET}\n")
    added = service.run("add", "shop", "--type", "http_bearer", "--set", f"token=@{token}", "--set", f"base_url={url}")
    assert (added.exit_code, added.stdout) == (0, "stored shop\n"), added
    listed = service.run("list", "--json").output
    assert [(item["id"], item["integration_id"], item["parameters"]) for item in listed] == [
        ("shop", "http_bearer", ["base_url", "token"])
    ]
    assert service.run("list").stdout.splitlines()[0].split() == ["CONNECTION", "TYPE", "PARAMETERS", "UPDATED"]
    assert service.run("test", "shop").stdout == "shop: HTTP Bearer Token, with base_url, token\n"
    for file in service.directory.iterdir():
        assert SECRET.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0

    document = product.write("shop.json", scenario(url))
    ran = product.run("runtara", "run", document, **service.env)
    assert (ran.exit_code, ran.output) == (0, {"sold": 3}), ran
    assert seen == [f"Bearer {SECRET}"]
    kept = [path for path in product.data_dir.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == [], "no database, log or artifact holds the secret"
    assert SECRET not in product.transcript()

    assert service.run("remove", "shop").stdout == "removed shop\n"
    gone = product.run("runtara", "run", document, **service.env)
    assert gone.exit_code == 1
    assert "CONNECTION_NOT_FOUND" in gone.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("add", "x", "--type", "http_bearr"), 2, "types: http_api_key, http_basic, http_bearer"),
        (
            ("add", "x", "--type", "http_bearer", "--set", "tokn=abc"),
            2,
            "token is missing; tokn is not one of its fields",
        ),
        (("add", "x", "--type", "http_bearer", "--set", "token"), 2, "NAME=VALUE"),
        (("test", "nobody"), 1, "there is no such connection"),
        (("remove", "nobody"), 1, "there is no such connection"),
    ],
)
def test_mistakes_are_told(product: Any, words: tuple[str, ...], code: int, text: str) -> None:
    refused = Service(product).run(*words)
    assert refused.exit_code == code, refused
    assert refused.stdout == ""
    assert text in refused.stderr
    assert "abc" not in refused.stderr, "values may be secret"


def test_without_a_service_the_remedy_is_told(product: Any) -> None:
    for value in ("", "ftp://x", "http://127.0.0.1:nowhere"):
        refused = product.run("runtara", "connections", "list", CONNECTION_SERVICE_URL=value)
        assert refused.exit_code in (1, 2)
        assert len(refused.errors) == 1
    assert product.run("runtara", "connections", "add", "--help").exit_code == 0


def test_only_the_key_manages(product: Any) -> None:
    service = Service(product)
    refused = service.run("list", CONNECTION_SERVICE_KEY="wrong")
    assert refused.exit_code == 1
    assert "refused (401)" in refused.stderr
    assert "CONNECTION_SERVICE_KEY" in refused.stderr


async def test_running_instances_are_known_by_their_token(daemons: Any, shop: tuple[str, list[str | None]]) -> None:
    url, _ = shop
    product = daemons.product
    core = f"127.0.0.1:{daemons.core_port}"
    service = await asyncio.to_thread(lambda: Service(product, "--core", core, tenant="demo"))
    given = ("--set", f"token={SECRET}", "--set", f"base_url={url}")
    added = await asyncio.to_thread(service.run, "add", "shop", "--type", "http_bearer", *given)
    assert added.exit_code == 0, added
    document = product.write("shop.json", json.dumps(scenario(url)))
    words = ("runtara", "compile", "--workflow", document, "--tenant", "demo", "--scenario", "shop")
    compiled = await asyncio.to_thread(product.run, *words)
    words = ("register", "--binary", compiled.stdout.strip(), "--tenant", "demo", "--name", "shop")
    image_id = await asyncio.to_thread(product.ctl, *words)
    async with daemons.sdk() as sdk:
        env = {"CONNECTION_SERVICE_URL": service.env["CONNECTION_SERVICE_URL"]}
        started = await sdk.start_instance(image_id, "demo", env=env)
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert ended.output == {"sold": 3}, ended
    stranger = await asyncio.to_thread(service.run, "test", "shop", CONNECTION_SERVICE_KEY="wrong")
    assert "refused (401)" in stranger.stderr
    service.process.stop()
