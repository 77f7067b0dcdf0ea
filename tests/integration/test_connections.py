"""Steps with connections, on a real service over HTTP: what it says, how it refuses, where secrets do not appear."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from runtara_compiler.compilation import CompilationInput
from runtara_compiler.trials.running import load_workflow
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow
from runtara_sdk.testing.trial_world import Answer
from runtara_sdk.workflow.connection_client import MAXIMUM_BYTES

SECRET = "s3cret-t0ken"
BEARER = {"integration_id": "http_bearer", "parameters": {"token": SECRET}}


@dataclass
class Service:
    """A connection service, and an API that wants the credentials that it hands out."""

    connections: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    called: list[str | None] = field(default_factory=list)
    accepted: str | None = None
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        place = urlsplit(handler.path)
        parts = [unquote(part) for part in place.path.split("/")[1:]]
        if parts[0] == "api":
            self.called.append(handler.headers.get("Authorization"))
            if self.accepted not in (None, self.called[-1]):
                return 401, {}, b""
            return 200, {"Content-Type": "application/json"}, b'{"sold": 3}'
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        self.asked.append({"parts": parts, **query, "authorization": handler.headers.get("Authorization")})
        found = self.connections.get(parts[-1])
        if callable(found):
            found = found(len(self.asked))
        if found is None:
            return 404, {}, b"no"
        if isinstance(found, tuple):
            return found
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = state.answer(self)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("CONNECTION_SERVICE_URL", f"{state.url}/connections/")
    yield state
    server.shutdown()
    server.server_close()
    thread.join(10)


def call(service: Service, **fields: Any) -> dict[str, Any]:
    mapping = {"url": {"valueType": "immediate", "value": f"{service.url}/api"}, **fields.pop("inputs", {})}
    return {"stepType": "Agent", "agentId": "http", "capabilityId": "http-request", "inputMapping": mapping} | fields


def document(**steps: Any) -> dict[str, Any]:
    sold = {"valueType": "reference", "value": "steps.call.outputs.body.sold"}
    ends = {"stepType": "Finish", "inputMapping": {"sold": sold}}
    path = [*steps, "end"]
    plan = [{"fromStep": one, "toStep": other} for one, other in zip(path, path[1:], strict=False)]  # noqa: RUF007
    return {"entryPoint": path[0], "steps": {**steps, "end": ends}, "executionPlan": plan}


async def outcome_of(scenario: dict[str, Any], **trial: Any) -> TrialOutcome:
    compilation = CompilationInput("acme", "shop", 1, scenario, debug_mode=True)
    return await try_workflow(load_workflow(compilation), Trial(**trial))


async def test_an_agent_gets_its_connection(service: Service) -> None:
    service.connections["shop/1 ?"] = BEARER
    found = await outcome_of(document(call=call(service, connectionId="shop/1 ?")))
    assert found.output == {"sold": 3}
    assert service.called == [f"Bearer {SECRET}"]
    (asked,) = service.asked
    assert asked["parts"] == ["connections", "trial", "shop/1 ?"], "each part is encoded"
    assert (asked["tag"], asked["stepId"]) == ("http_http-request", "call")
    assert (asked["scenarioId"], asked["instanceId"]) == ("shop", "trial")
    assert SECRET not in json.dumps(found.events)


async def test_a_connection_step_hands_it_on(service: Service) -> None:
    service.connections["shop"] = BEARER
    fetched = {"stepType": "Connection", "connectionId": "shop", "integrationId": "http_bearer"}
    inputs = {"_connection": {"valueType": "reference", "value": "steps.fetch.outputs"}}
    found = await outcome_of(document(fetch=fetched, call=call(service, inputs=inputs)))
    assert found.output == {"sold": 3}
    assert service.called == [f"Bearer {SECRET}"]
    assert service.asked[0]["tag"] == "http_bearer"
    # Debug mode shows what steps are given, but for this.
    assert any(event["type"] == "step_debug_start" for event in found.events)
    assert SECRET not in json.dumps(found.events)


async def test_a_connection_of_another_kind_is_refused(service: Service) -> None:
    service.connections["shop"] = BEARER | {"integration_id": "http_basic"}
    fetched = {"stepType": "Connection", "connectionId": "shop", "integrationId": "http_bearer"}
    found = await outcome_of(document(fetch=fetched, call=call(service)))
    assert found.error is not None
    assert (found.error["code"], found.error["stepId"]) == ("CONNECTION_INVALID", "fetch")
    assert "'http_basic'" in found.error["message"]
    assert service.called == []


def refuse(status: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, b""


@pytest.mark.parametrize(
    ("answer", "code", "category"),
    [
        (None, "CONNECTION_NOT_FOUND", "permanent"),
        (refuse(403), "CONNECTION_REFUSED", "permanent"),
        (refuse(302, Location="http://127.0.0.1:1/"), "CONNECTION_REFUSED", "permanent"),
        (refuse(503), "CONNECTION_UNAVAILABLE", "transient"),
        (refuse(429, Retry_After="7"), "CONNECTION_RATE_LIMITED", "transient"),
        ((200, {}, b"<html>"), "CONNECTION_INVALID", "permanent"),
        ((200, {}, b"[]"), "CONNECTION_INVALID", "permanent"),
        ((200, {}, b'{"integration_id": "x"}'), "CONNECTION_INVALID", "permanent"),
        ((200, {}, b" " * (MAXIMUM_BYTES + 1)), "CONNECTION_INVALID", "permanent"),
    ],
)
async def test_refusals_have_codes(service: Service, answer: Any, code: str, category: str) -> None:
    service.connections["shop"] = answer
    scenario = document(call=call(service, connectionId="shop", maxRetries=0)) | {"rateLimitBudgetMs": 0}
    found = await outcome_of(scenario)
    assert found.error is not None
    assert (found.error["code"], found.error["category"]) == (code, category)
    assert "'shop'" in found.error["message"]


async def test_a_service_that_asks_to_wait_is_asked_again_then(service: Service) -> None:
    service.connections["shop"] = lambda count: refuse(429, Retry_After="7") if count == 1 else BEARER
    found = await outcome_of(document(call=call(service, connectionId="shop", maxRetries=0)))
    assert (found.output, found.passed_ms) == ({"sold": 3}, 7_000)


async def test_a_limited_connection_is_waited_for_durably(service: Service) -> None:
    limit = {"is_limited": True, "retry_after_ms": 3_600_000}
    service.connections["shop"] = lambda count: BEARER | ({"rate_limit": limit} if count == 1 else {})
    fetched = {"stepType": "Connection", "connectionId": "shop", "integrationId": "http_bearer"}
    inputs = {"_connection": {"valueType": "reference", "value": "steps.fetch.outputs"}}
    found = await outcome_of(document(fetch=fetched, call=call(service, inputs=inputs)))
    assert (found.output, found.passed_ms, found.launches) == ({"sold": 3}, 3_600_000, 2)


async def test_what_is_recorded_needs_no_connection(service: Service) -> None:
    service.connections["shop"] = BEARER
    rest = {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 3_600_000}}
    found = await outcome_of(document(call=call(service, connectionId="shop"), rest=rest))
    assert (found.output, found.launches, len(service.asked)) == ({"sold": 3}, 2, 1)


async def test_without_a_service_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.delenv("CONNECTION_SERVICE_URL")
    found = await outcome_of(document(call=call(service, connectionId="shop")))
    assert found.error is not None
    assert found.error["code"] == "CONNECTION_SERVICE_MISSING"
    assert "set CONNECTION_SERVICE_URL" in found.error["message"]
    compilation = CompilationInput(
        "acme",
        "shop",
        1,
        document(call=call(service, connectionId="shop")),
        connection_service_url=f"{service.url}/connections",
    )
    service.connections["shop"] = BEARER
    found = await try_workflow(load_workflow(compilation), Trial())
    assert found.output == {"sold": 3}


async def test_a_trial_stands_in_for_connections(service: Service) -> None:
    answers = {"call": [Answer({"body": {"sold": 4}})]}
    stood_in = {"shop": BEARER}
    found = await outcome_of(
        document(call=call(service, connectionId="shop")), connections=stood_in, capabilities=answers
    )
    assert (found.status, found.output, service.asked) == (InstanceStatus.COMPLETED, {"sold": 4}, [])


def twice(service: Service) -> dict[str, Any]:
    return document(
        first=call(service, connectionId="shop", maxRetries=0), call=call(service, connectionId="shop", maxRetries=0)
    )


async def test_a_connection_is_fetched_once_a_minute(service: Service) -> None:
    service.connections["shop"] = BEARER
    found = await outcome_of(twice(service))
    assert (found.output, len(service.asked), len(service.called)) == ({"sold": 3}, 1, 2)
    rest = {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 20_000}}
    path = {"first": call(service, connectionId="shop")} | {f"rest{n}": rest for n in range(3)}
    found = await outcome_of(document(**path, call=call(service, connectionId="shop")))
    assert (found.output, len(service.asked)) == ({"sold": 3}, 3), "after a minute it is asked for again"


async def test_without_a_time_to_live_each_attempt_fetches(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_CONNECTION_TTL_MS", "0")
    service.connections["shop"] = BEARER
    await outcome_of(twice(service))
    assert len(service.asked) == 2


async def test_many_at_a_time_wait_for_one_fetch(service: Service) -> None:
    service.connections["shop"] = BEARER
    items = {"valueType": "immediate", "value": list(range(8))}
    split = {"stepType": "Split", "config": {"value": items, "parallelism": 8}}
    split["subgraph"] = document(call=call(service, connectionId="shop"))
    scenario = {
        "steps": {"each": split, "end": {"stepType": "Finish"}},
        "executionPlan": [{"fromStep": "each", "toStep": "end"}],
    }
    found = await outcome_of(scenario)
    assert (found.status, len(service.asked), len(service.called)) == (InstanceStatus.COMPLETED, 1, 8)


async def test_credentials_that_were_just_fetched_are_not_fetched_again(service: Service) -> None:
    service.connections["shop"] = {"integration_id": "http_bearer", "parameters": {"token": "wrong"}}
    service.accepted = "Bearer right"
    found = await outcome_of(twice(service))
    assert found.error is not None
    assert (found.error["code"], found.error["stepId"]) == ("HTTP_UNAUTHORIZED", "first")
    assert (len(service.asked), len(service.called)) == (1, 1), "what was just fetched is not fetched again"


async def test_a_secret_that_changes_between_two_steps(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.connections["shop"] = lambda count: {
        "integration_id": "http_bearer",
        "parameters": {"token": "old" if count == 1 else "new"},
    }
    answers = iter([None, "Bearer new", "Bearer new"])
    original = service.answer

    def answer(handler: Any) -> Any:
        if handler.path.startswith("/api"):
            service.accepted = next(answers)
        return original(handler)

    monkeypatch.setattr(service, "answer", answer)
    found = await outcome_of(twice(service))
    assert found.output == {"sold": 3}
    assert service.called == ["Bearer old", "Bearer old", "Bearer new"]
    assert len(service.asked) == 2
