"""`http-poll`: a request again and again, until its answer is what is waited for."""

from __future__ import annotations

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.conditions import ConditionInput, read_condition

from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.exchange import exchange
from runtara_agents_http.models import HttpRequestInput, HttpResponse

POLL_TIMEOUT = "HTTP_POLL_TIMEOUT"
POLL_FAILED = "HTTP_POLL_FAILED"
OPTION_INVALID = "HTTP_INVALID_OPTION"


class HttpPollInput(HttpRequestInput):
    """What is asked, and what is waited for."""

    until: ConditionInput | None = Field(
        default=None,
        title="Until",
        description="A condition over the response: `status_code`, `headers`, `body`, `success`.",
        examples=[
            {
                "type": "operation",
                "op": "EQ",
                "arguments": [
                    {"valueType": "reference", "value": "body.state"},
                    {"valueType": "immediate", "value": "done"},
                ],
            }
        ],
    )
    until_status: list[int] = Field(default_factory=list, description="Statuses that are waited for.", examples=[[200]])
    fail_when: ConditionInput | None = Field(
        default=None, title="Fail when", description="A condition that ends the wait with HTTP_POLL_FAILED."
    )
    interval_ms: int = Field(default=10_000, ge=10, le=86_400_000, description="Time between two requests.")
    backoff: float = Field(default=1.0, ge=1.0, le=10.0, description="By how much each wait is longer than the last.")
    max_interval_ms: int = Field(default=3_600_000, ge=10, le=86_400_000, description="The longest wait.")
    wait_ms: int = Field(
        default=3_600_000,
        ge=0,
        le=366 * 86_400_000,
        title="Longest wait",
        description="After so long HTTP_POLL_TIMEOUT is the error; it began with the first run of the step.",
    )
    max_attempts: int = Field(default=10_000, ge=1, le=1_000_000, description="At most so many requests.")


class HttpPollOutput(BaseModel):
    """The answer that was waited for."""

    response: HttpResponse
    attempts: int = Field(description="Number of the request by its schedule, from 1.")
    elapsed_ms: int = Field(description="Since the first run of the step began.")


async def poll(pool: HttpClientPool, inputs: HttpPollInput, context: CapabilityContext) -> HttpPollOutput:
    """Ask until the condition holds. Long waits end the process; deadline and number of requests stay.

    Raises:
        AgentError: HTTP_POLL_TIMEOUT, HTTP_POLL_FAILED, or a failure of a request that no condition takes.
    """
    if inputs.until is None and not inputs.until_status:
        raise AgentError.permanent(OPTION_INVALID, "give `until` or `until_status`: what is waited for")
    until = read_condition(inputs.until, "until") if inputs.until is not None else None
    fails = read_condition(inputs.fail_when, "fail_when") if inputs.fail_when is not None else None
    # The step says which statuses are errors by its conditions.
    request = inputs.model_copy(update={"fail_on_error": False})
    ends_at_ms = await context.durable.deadline_ms("deadline", inputs.wait_ms)
    began_ms = ends_at_ms - inputs.wait_ms
    last = -1
    while True:
        # The time tells which request of the schedule is next: a process that begins later repeats none before it.
        number, next_ms = _scheduled(inputs, max(0, context.clock.now_ms() - began_ms), after=last)
        if number >= inputs.max_attempts:
            break
        last = number
        answer = await _answer(pool, request, context)
        if answer is not None:
            found = answer.model_dump()
            if answer.status_code in inputs.until_status or (until is not None and until(found)):
                elapsed_ms = max(0, context.clock.now_ms() - began_ms)
                return HttpPollOutput(response=answer, attempts=number + 1, elapsed_ms=elapsed_ms)
            if fails is not None and fails(found):
                raise AgentError.permanent(
                    POLL_FAILED,
                    f"{answer.url}: `fail_when` holds (HTTP {answer.status_code})",
                    attributes={"url": answer.url, "status_code": answer.status_code},
                )
        now_ms = context.clock.now_ms()
        left_ms = ends_at_ms - now_ms
        if left_ms <= 0:
            break
        wait_ms = max(began_ms + next_ms - now_ms, _retry_after_ms(answer), 0)
        await context.durable.sleep(f"wait-{number}", min(wait_ms, left_ms))
    raise AgentError.permanent(
        POLL_TIMEOUT,
        f"what is waited for did not come within {inputs.wait_ms} ms and {inputs.max_attempts} requests",
        attributes={"wait_ms": inputs.wait_ms},
    )


async def _answer(pool: HttpClientPool, request: HttpPollInput, context: CapabilityContext) -> HttpResponse | None:
    """One answer; None where the network failed in a way that may pass."""
    try:
        return await exchange(pool, request, context)
    except AgentError as error:
        if not error.retryable:
            raise
        context.logger.info("poll: %s", error.message)
        return None


def _scheduled(inputs: HttpPollInput, elapsed_ms: int, *, after: int) -> tuple[int, int]:
    """The number of the request that is due, greater than `after`, and when the one behind it is due."""
    number, interval, due = 0, float(inputs.interval_ms), 0.0
    while number <= after or due + interval <= elapsed_ms:
        if inputs.backoff == 1.0 or interval >= inputs.max_interval_ms:
            # From here on all waits are the same.
            skipped = max(1, int((elapsed_ms - due) // interval), after + 1 - number)
            number += skipped
            due += skipped * interval
            break
        due += interval
        number += 1
        interval = min(interval * inputs.backoff, inputs.max_interval_ms)
    return number, int(due + interval)


def _retry_after_ms(answer: HttpResponse | None) -> int:
    text = answer.headers.get("retry-after", "") if answer is not None else ""
    return min(int(text) * 1000, 86_400_000) if text.isdecimal() and len(text) < 8 else 0
