"""Steps that are tried again, as those see it who wait for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "order-processing.json"
TENANT = "demo"
WAIT_SECONDS = 60
BUSY = 'HTTP 503: {"reason": "busy"}'


def scenario_of(service: Any) -> dict[str, Any]:
    """The example, with short waits between the attempts of its first step."""
    scenario = json.loads(EXAMPLE.read_text(encoding="utf-8").replace("http://127.0.0.1:8780", service.url))
    scenario["steps"]["validate"]["retryDelay"] = 100
    return dict(scenario)


def order(order_id: str) -> dict[str, Any]:
    return {"data": {"order": {"id": order_id, "customer": "Ada", "total": 12}}}


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["plain", "json"])
def test_a_command_tells_each_attempt_of_a_step(product, service, options) -> None:
    service.busy["/validate"] = 2
    scenario = product.write("orders.json", scenario_of(service))
    finished = product.run("runtara", "run", scenario, "--input", json.dumps(order("R-1")), *options)
    assert finished.exit_code == 0, finished
    assert service.calls("/validate", "R-1") == 3
    told = [line for line in finished.stderr.splitlines() if ": attempt " in line]
    assert told == [
        f"Validate the order: attempt 2 of 4 in 0.1 s ({BUSY})",
        f"Validate the order: attempt 3 of 4 in 0.2 s ({BUSY})",
    ]
    output = finished.output["output"] if options else finished.output
    assert output["status"] == "accepted"


async def test_a_product_lists_each_attempt_of_a_step(daemons, service) -> None:
    service.busy["/validate"] = 2
    product = daemons.product
    scenario = product.write("retried.json", scenario_of(service))
    compiled = product.run(
        "runtara-compile", "--workflow", scenario, "--tenant", TENANT, "--scenario", "retried", "--output", "retried"
    )
    assert compiled.exit_code == 0, compiled
    image_id = product.ctl(
        "register", "--binary", product.directory / "retried", "--tenant", TENANT, "--name", "retried"
    )
    async with daemons.sdk() as sdk:
        started = await sdk.start_instance(image_id, TENANT, input_envelope=order("R-2"))
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        page = await sdk.list_events(started.instance_id, subtype="retry_attempt")
    assert ended.output["status"] == "accepted", ended
    third, second = page.events
    key = f"retried::{started.instance_id}::agent::http::request::validate"
    for event, number in ((second, 2), (third, 3)):
        assert (event.event_type, event.checkpoint_id) == ("custom", key)
        payload = event.payload
        error = json.loads(payload.pop("error"))
        assert (error["message"], error["stepId"], error["attempts"]) == (BUSY, "validate", number - 1)
        assert error["attributes"]["status_code"] == "503"
        wait_ms = 100 * (number - 1)
        assert payload == {
            "attempt_number": number,
            "max_attempts": 4,
            "wait_ms": wait_ms,
            "next_attempt_at_ms": event.created_at_ms + wait_ms,
        }
