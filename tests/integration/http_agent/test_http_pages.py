"""The steps of the pages of the HTTP agent, against a server that answers as the pages say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from worked_examples import WorkedStep, run_steps

from tests.capability_page import ShownExample, shown_examples

from .http_server import Answer, Received, Server

VARYING = frozenset({"elapsed_ms"})
HOSTS = ("https://api.example.com", "https://files.example.com")


def _json(status: int, document: Any) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def answer_as_the_pages_say(server: Server) -> None:
    async def orders(request: Received, _writer: asyncio.StreamWriter) -> Answer:
        if request.method == "POST":
            return _json(201, {"id": 12})
        if "state=open" in request.target:
            return _json(200, [{"sku": 7}])
        if "cursor=" in request.target:
            return _json(200, {"data": [{"sku": 8}], "meta": {"next": None}})
        return _json(200, {"data": [{"sku": 7}], "meta": {"next": "2"}})

    asked = 0

    async def job(_request: Received, _writer: asyncio.StreamWriter) -> Answer:
        nonlocal asked
        asked += 1
        return _json(200, {"state": "done"}) if asked == 3 else _json(202, {"state": "running"})

    server.handlers |= {"/orders": orders, "/jobs/7": job}
    server.answer("/report.pdf", body=b"%PDF-1.7\n", content_type="application/pdf")
    server.answer("/a.iso", body=b"CD001\n", content_type="application/octet-stream", etag='"1"')
    server.answer("/a.csv", status=201)
    server.answer("/graphql", body={"data": {"orders": [{"id": 12}]}})


def at_the_server(document: Any, server: Server) -> Any:
    """A step or an output of a page with the addresses of the server in place of those of the example."""
    text = json.dumps(document)
    for host in HOSTS:
        text = text.replace(host, server.url)
    return json.loads(text)


async def test_the_steps_of_the_pages(server: Server, capability_pages: dict[str, str]) -> None:
    answer_as_the_pages_say(server)
    pages = [page for path, page in capability_pages.items() if path.startswith("agents/http/")]
    examples = [example for page in pages for example in shown_examples(page)]
    assert len(examples) >= 8
    steps = [WorkedStep(at_the_server(each.worked.step, server), each.worked.files) for each in examples]
    for example, output in zip(examples, await run_steps(steps), strict=True):
        shown = ShownExample(example.worked, at_the_server(example.output, server), example.varies)
        assert shown.agrees(output, varying=VARYING), f"shown is {shown.output!r}, given {output!r}"
    [uploaded] = [request for request in server.received if request.target == "/a.csv"]
    assert uploaded.body == b"sku\nA1\n"
