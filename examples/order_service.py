#!/usr/bin/env python3
"""A small order service for the examples; it counts its calls.

    python examples/order_service.py                          serve on port 8780 until stopped
    python examples/order_service.py -- COMMAND ARGUMENTS...  serve while COMMAND runs, and exit as it does

POST /validate  an order in, {"valid": ..., "reason": ...} out; an order without an id or with a total of 0 is not valid
POST /notify    an order in, {"notified": customer, "order": id} out
POST /orders    an order in, {"processed": id} out
GET  /calls     how often each path was called, in total and for each order id

It needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BODY_BYTES = 1024 * 1024


class OrderService(ThreadingHTTPServer):
    """The service, with the counts of its calls."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), OrderHandler)
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._orders: dict[str, Counter[str]] = {}

    def count(self, path: str, order_id: str | None) -> None:
        """Remember a call."""
        with self._lock:
            self._calls[path] += 1
            if order_id is not None:
                self._orders.setdefault(path, Counter())[order_id] += 1

    def counts(self) -> dict[str, Any]:
        """Calls for each path, and for each path and order."""
        with self._lock:
            orders = {path: dict(counter) for path, counter in self._orders.items()}
            return {"calls": dict(self._calls), "orders": orders}


class OrderHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: OrderService
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Counts, or whatever a scenario without a body asks for."""
        if self.path == "/calls":
            self._answer(200, self.server.counts())
        else:
            self._serve({})

    def do_POST(self) -> None:
        """An order."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            self._answer(413, {"error": f"more than {MAX_BODY_BYTES} bytes"})
            return
        try:
            order = json.loads(self.rfile.read(length) or b"{}")
        except ValueError as error:
            self._answer(400, {"error": f"not JSON: {error}"})
            return
        self._serve(order if isinstance(order, dict) else {})

    def _serve(self, order: dict[str, Any]) -> None:
        order_id = order.get("id")
        self.server.count(self.path, None if order_id is None else str(order_id))
        if self.path == "/validate":
            self._answer(200, _validate(order))
        elif self.path == "/notify":
            self._answer(200, {"notified": order.get("customer"), "order": order_id})
        elif self.path == "/orders":
            self._answer(200, {"processed": order_id})
        else:
            self._answer(404, {"error": f"there is no {self.path}"})

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: the command that runs beside it has the terminal."""


def _validate(order: dict[str, Any]) -> dict[str, Any]:
    if not order.get("id"):
        return {"valid": False, "reason": "the order has no id"}
    if not order.get("total"):
        return {"valid": False, "reason": "the order has no total"}
    return {"valid": True, "reason": None}


def main() -> int:
    """Serve, alone or beside a command."""
    parser = argparse.ArgumentParser(
        description="A small order service for the examples; it counts its calls.",
        epilog="example: order_service.py -- runtara run examples/order-processing.json --input @examples/order.json",
    )
    parser.add_argument("--port", type=int, default=8780, help="TCP port on 127.0.0.1 (default 8780; 0 = any)")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="serve while it runs, behind --")
    arguments = parser.parse_args()
    try:
        service = OrderService(arguments.port)
    except OSError as error:
        print(
            f"error: cannot listen on 127.0.0.1:{arguments.port}: {error.strerror}; choose another with --port",
            file=sys.stderr,
        )
        return 1
    threading.Thread(target=service.serve_forever, daemon=True).start()
    port = service.server_address[1]
    print(f"order service on http://127.0.0.1:{port}", file=sys.stderr, flush=True)
    try:
        if not arguments.command:
            threading.Event().wait()
        return subprocess.run(arguments.command, check=False).returncode
    except FileNotFoundError:
        print(f"error: there is no command {arguments.command[0]}", file=sys.stderr)
        return 127
    except KeyboardInterrupt:
        return 130
    finally:
        print(f"calls: {json.dumps(service.counts()['calls'])}", file=sys.stderr)
        service.shutdown()


if __name__ == "__main__":
    sys.exit(main())
