"""Listings of many pages, of every kind; pages that were read are not asked for again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from runtara_agents_http import http_agent
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.memory_store import KillPoint
from runtara_sdk.testing.trial import Trial, try_workflow
from runtara_sdk.workflow import AgentStep, FinishStep, Run, Workflow, immediate, reference

from .http_server import Received, Server

TOTAL = 25


def listing(server: Server, mode: str) -> None:
    """Serve 25 numbers, ten a page, at /items."""

    async def handler(request: Received, _writer: asyncio.StreamWriter) -> Any:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        sent = json.loads(request.body or b"{}")
        begin = int(query.get("from") or query.get("cursor") or query.get("offset") or sent.get("cursor") or 0)
        if mode == "page":
            begin = (int(query.get("page", "1")) - 1) * 10
        end = begin + int(query.get("limit", "10"))
        body: dict[str, Any] = {"data": {"items": list(range(begin, min(end, TOTAL)))}, "meta": {}}
        headers: dict[str, str] = {}
        if end < TOTAL:
            if mode == "link_header":
                headers["Link"] = f'</first>; rel="first", </items?from={end}>; title="a, b"; rel="next last"'
            elif mode == "next_link":
                body["meta"]["next"] = f"{server.url}/items?from={end}"
            elif mode == "cursor":
                body["meta"]["next"] = str(end)
        return 200, headers, json.dumps(body).encode()

    server.handlers["/items"] = handler


async def paginate(
    http: AgentDefinition, server: Server, context: CapabilityContext | None = None, **inputs: Any
) -> Any:
    given = {"url": f"{server.url}/items", "items_path": "data.items", **inputs}
    return await http.invoke("http-paginate", given, context)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("link_header", {}),
        ("next_link", {"next_path": "meta.next"}),
        ("cursor", {"next_path": "meta.next"}),
        ("cursor", {"next_path": "meta.next", "parameter_in": "body", "method": "POST", "body": {"q": 1}}),
        ("page", {}),
        ("page", {"page_size": 10}),
        ("offset", {"page_size": 5, "size_parameter": "limit"}),
    ],
)
async def test_all_pages(mode: str, options: dict[str, Any], http: AgentDefinition, server: Server) -> None:
    listing(server, mode)
    result = await paginate(http, server, mode=mode, **options)
    assert (result["items"], result["count"], result["truncated"], result["next"]) == (
        list(range(TOTAL)),
        TOTAL,
        False,
        None,
    )
    if options.get("method") == "POST":
        assert json.loads(server.received[1].body) == {"q": 1, "cursor": "10"}


async def test_bounds(http: AgentDefinition, server: Server) -> None:
    listing(server, "cursor")
    options: dict[str, Any] = {"mode": "cursor", "next_path": "meta.next"}
    result = await paginate(http, server, **options, max_pages=2)
    assert (result["count"], result["pages"], result["truncated"], result["next"]) == (20, 2, True, "20")
    result = await paginate(http, server, **options, max_items=15)
    assert (result["items"], result["truncated"]) == (list(range(15)), True)
    with pytest.raises(AgentError, match="HTTP_ITEMS_TOO_LARGE"):
        await paginate(http, server, **options, max_items_bytes=40)


async def test_what_goes_wrong(http: AgentDefinition, server: Server, other_server: Server) -> None:
    server.answer("/items", body={"data": {"items": [1]}, "next": f"{server.url}/items"})
    with pytest.raises(AgentError, match="HTTP_PAGINATION_LOOP"):
        await paginate(http, server, mode="next_link")
    server.answer("/items", body={"data": {"items": [1]}, "next": f"{other_server.url}/items"})
    with pytest.raises(AgentError, match=r"HTTP_INVALID_URL.*another origin"):
        await paginate(http, server, mode="next_link")
    assert not other_server.received
    trusted = await paginate(
        http,
        server,
        mode="next_link",
        trusted_redirect_origins=[other_server.url],
        items_path="data.items",
        max_pages=1,
    )
    assert trusted["truncated"]
    server.answer("/items", body={"data": 1})
    with pytest.raises(AgentError, match="HTTP_ITEMS_INVALID"):
        await paginate(http, server, items_path="data")
    server.answer("/items", body=[1, 2])
    assert (await paginate(http, server, items_path=""))["items"] == [1, 2]
    with pytest.raises(AgentError, match="HTTP_PATH_INVALID"):
        await paginate(http, server, items_path="a..b")
    with pytest.raises(AgentError, match="HTTP_INVALID_OPTION"):
        await paginate(http, server, output="file")


async def test_items_go_to_a_file(http: AgentDefinition, server: Server, tmp_path: Path) -> None:
    listing(server, "page")
    context = CapabilityContext(workspace=Workspace(tmp_path))
    result = await paginate(http, server, context, mode="page", output="file", items_file="a/items.jsonl")
    assert (result["items"], result["count"], result["file"]["$file"]) == (None, TOTAL, "a/items.jsonl")
    lines = (tmp_path / "a" / "items.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(range(TOTAL))


def workflow(inputs: dict[str, Any], capability: str = "http-paginate") -> Workflow:
    values = {name: immediate(value) for name, value in inputs.items()}
    step = AgentStep(
        id="s",
        agent=http_agent,
        agent_id="http",
        capability_id=capability,
        inputs=values,
        then=("end",),
        retry_delay_ms=10,
    )
    end = FinishStep(id="end", result={"outputs": reference("steps.s.outputs")})

    async def graph(run: Run) -> Any:
        await run.do(step)
        return await run.finish(end)

    return Workflow(id="w", version=1, graph=graph, agents=(http_agent,))


@pytest.mark.parametrize("output", ["items", "file"])
async def test_pages_are_read_once_whatever_dies(output: str, server: Server) -> None:
    listing(server, "page")
    inputs: dict[str, Any] = {
        "url": f"{server.url}/items",
        "items_path": "data.items",
        "mode": "page",
        "output": output,
    }
    if output == "file":
        inputs["items_file"] = "items.jsonl"
    made = workflow({**inputs, "page_size": 10, "delay_ms": 60_000})
    undisturbed = await try_workflow(made, Trial())
    assert undisturbed.launches == 3, "two pauses between three pages"
    for call in range(1, undisturbed.store_calls + 1):
        for after in (False, True):
            server.received.clear()
            outcome = await try_workflow(made, Trial(kill=KillPoint(call, after)))
            assert outcome.status is InstanceStatus.COMPLETED, outcome.error
            assert outcome.output == undisturbed.output
            assert len(server.received) <= 4, "the page that was not recorded is read again, no other"
    keys = {request.header("Idempotency-Key") for request in server.received}
    assert keys == {None}


async def test_a_retry_goes_on_with_the_page_that_failed(server: Server) -> None:
    listing(server, "page")
    listed = server.handlers["/items"]
    failures = iter([False, True, False, False])

    async def handler(request: Received, writer: asyncio.StreamWriter) -> Any:
        return (429, {"Retry-After": "7"}, b"") if next(failures) else await listed(request, writer)

    server.handlers["/items"] = handler
    outcome = await try_workflow(
        workflow({"url": f"{server.url}/items", "items_path": "data.items", "mode": "page", "page_size": 10}), Trial()
    )
    assert outcome.output["count"] == TOTAL
    assert outcome.passed_ms >= 7000
    assert [request.target for request in server.received] == [
        "/items?page=1",
        "/items?page=2",
        "/items?page=2",
        "/items?page=3",
    ]
