"""The examples of the HTTP agent on a real service: what they give, repeated, cut short, and with secrets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from runtara_agents_http import http_agent
from runtara_sdk.agents import Capability, Example
from runtara_sdk.testing.agents import AgentCallSuite, ProvidedCall

CHANGING = frozenset({"POST", "PUT"})
LATENCY_SECONDS = 0.005
TOKEN = "token-of-the-connection"


class TestHttpAgentOnAService(AgentCallSuite):
    agent = http_agent

    @contextmanager
    def provided(self, capability: Capability, example: Example) -> Iterator[ProvidedCall]:
        assert example.needs in {"an HTTP service", "a GraphQL service"}
        with Service() as service:
            thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.005})
            thread.start()
            url = f"http://127.0.0.1:{service.server_port}{urlsplit(example.inputs['url']).path}"
            connection = {"integration_id": "http_bearer", "parameters": {"token": TOKEN}}
            yield ProvidedCall({**example.inputs, "url": url, "_connection": connection}, lambda: service.changes)
            service.shutdown()
            thread.join()


class Service(ThreadingHTTPServer):
    """Takes a change once for each idempotency key, and answers with what it was sent, credentials included."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.changes: dict[str, str] = {}
        self.stopping = threading.Event()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        service: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        if self.command in CHANGING:
            service.changes.setdefault(self.headers["Idempotency-Key"] or f"without a key {len(service.changes)}", body)
        service.stopping.wait(LATENCY_SECONDS)
        document = {"data": [{"id": 1}], "meta": {"next": None}, "sent": dict(self.headers.items())}
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = answer  # noqa: N815 - as the library finds it
    do_POST = answer  # noqa: N815
    do_PUT = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""
