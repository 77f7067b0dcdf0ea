"""Lists and live tables of `runtara-ctl`: pages, filters, what a terminal sees."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from runtara_sdk.cli.ctl import ctl
from runtara_sdk.cli.errors import run_program
from runtara_sdk.cli.tables import Table
from runtara_sdk.errors import TransportError
from runtara_sdk.protocol import environment_pb2 as pb

Answers = list[pb.RpcResponse | BaseException]
Run = Callable[..., tuple[Any, str, str]]


class Script:
    """Takes the place of the client: the answers of one command, one after the other."""

    answers: Answers
    requests: list[pb.RpcRequest]

    def __init__(self, address: str, **options: object) -> None:
        del address, options

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def call(self, payload: bytes, *, timeout_ms: int | None = None) -> bytes:
        Script.requests.append(pb.RpcRequest.FromString(payload))
        answer = Script.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer.SerializeToString()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("runtara_sdk.transport.open_client", Script)
    monkeypatch.setenv("DATA_DIR", "/nowhere")

    def run(answers: Answers, *words: str) -> tuple[Any, str, str]:
        Script.answers, Script.requests = list(answers), []
        monkeypatch.setattr(sys, "argv", ["runtara-ctl", *words])
        with pytest.raises(SystemExit) as exit_info:
            run_program(ctl)
        captured = capsys.readouterr()
        return exit_info.value.code, captured.out, captured.err

    return run


def instances(
    *ids: str, token: str = "", total: int = 4, status: pb.InstanceStatus = pb.STATUS_RUNNING
) -> pb.RpcResponse:
    listed = [pb.InstanceSummary(instance_id=each, image_name="im", status=status) for each in ids]
    return pb.RpcResponse(
        list_instances=pb.ListInstancesResponse(instances=listed, total_count=total, next_page_token=token)
    )


def status(status: pb.InstanceStatus, **fields: Any) -> pb.RpcResponse:
    answer = pb.GetInstanceStatusResponse(instance_id="a", found=True, status=status, **fields)
    return pb.RpcResponse(get_instance_status=answer)


def steps(*listed: tuple[str, pb.StepStatus]) -> pb.RpcResponse:
    found = [pb.StepSummary(step_id=step, step_type="Agent", status=state, started_at_ms=1) for step, state in listed]
    answer = pb.ListStepSummariesResponse(steps=found, total_count=len(found))
    return pb.RpcResponse(list_step_summaries=answer)


def test_all_pages_are_one_list(run: Run) -> None:
    two = [instances("a", "b", token="next"), instances("c", "d")]
    code, out, _ = run(two, "list-instances", "--all")
    listed = json.loads(out)
    assert (code, [each["instance_id"] for each in listed["instances"]]) == (0, ["a", "b", "c", "d"])
    assert (listed["total_count"], "next_page_token" in listed) == (4, False)
    assert [request.list_instances.page_token for request in Script.requests] == ["", "next"]
    out = run(two, "list-instances", "--all", "--table")[1]
    assert [line.split()[0] for line in out.splitlines()] == ["INSTANCE", "a", "b", "c", "d"]
    assert json.loads(run([instances(total=0)], "list-instances")[1]) == {"instances": [], "total_count": 0}


def test_a_list_says_where_it_goes_on(run: Run) -> None:
    page = instances("a", "b", token="next")
    assert json.loads(run([page], "list-instances", "--limit", "2")[1])["next_page_token"] == "next"
    assert (
        "2 of 4; --all lists all, --page-token next goes on"
        in run([page], "list-instances", "--limit", "2", "--table")[2]
    )
    code, _, err = run([instances("c", "d")], "list-instances", "--page-token", "next", "--table")
    assert (code, err, Script.requests[0].list_instances.page_token) == (0, "", "next")
    assert run([], "list-instances", "--page-token", "next", "--offset", "1")[0] == 2


def test_filters_of_lists(run: Run) -> None:
    words = ("--status", "failed", "--status", "running", "--reason", "timeout", "--image-name", "order-")
    run([instances()], "list-instances", *words, "--until", "1970-01-01T00:00:01Z", "--finished-until", "1h")
    call = Script.requests[0].list_instances
    assert list(call.statuses) == [pb.STATUS_FAILED, pb.STATUS_RUNNING]
    assert (list(call.termination_reasons), call.image_name_prefix) == (["timeout"], "order-")
    assert (call.created_before_ms, call.HasField("finished_before_ms")) == (1_000, True)


def test_events_are_filtered(run: Run) -> None:
    event = pb.EventSummary(id=7, instance_id="i", event_type="custom", subtype="note", payload=b'"Timeout"')
    page = pb.RpcResponse(list_events=pb.ListEventsResponse(events=[event], total_count=1))
    code, out, _ = run([page], "events", "i", "--contains", "timeout", "--scope", "sc_a_0")
    call = Script.requests[0].list_events
    assert (code, out.split()[1:], call.payload_contains, call.scope_id) == (
        0,
        ["custom/note", "Timeout"],
        "timeout",
        "sc_a_0",
    )


def events(*ids: int, token: str = "", total: int = 5) -> pb.RpcResponse:
    found = [pb.EventSummary(id=each, instance_id="i", event_type="custom", created_at_ms=each) for each in ids]
    return pb.RpcResponse(list_events=pb.ListEventsResponse(events=found, total_count=total, next_page_token=token))


def ids_of(out: str) -> list[int]:
    return [json.loads(line)["event_id"] for line in out.splitlines()]


def test_the_newest_events_are_shown_and_those_before_them_on_demand(run: Run) -> None:
    code, out, err = run([events(5, 4, token="older")], "events", "i", "--limit", "2", "--json")
    assert (code, ids_of(out)) == (0, [4, 5])
    assert err == "2 of 5; --all lists all, --page-token older goes on\n"
    answers: Answers = [events(3, 2, token="oldest"), events(1)]
    code, out, err = run(answers, "events", "i", "--page-token", "older", "--json", "--limit", "5000")
    assert (code, ids_of(out), err) == (0, [1, 2, 3], "")
    assert [call.list_events.page_token for call in Script.requests] == ["older", "oldest"]
    assert [call.list_events.limit for call in Script.requests] == [1_000, 1_000]


@pytest.mark.parametrize("other", ["--follow", "--all"])
def test_a_page_of_events_is_no_other_list(run: Run, other: str) -> None:
    assert run([], "events", "i", "--page-token", "older", other)[0] == 2


def test_all_events_are_shown_a_page_at_a_time(run: Run) -> None:
    code, out, err = run([events(1, 2, token="next"), events(3, 4, 5)], "events", "i", "--all", "--json")
    assert (code, ids_of(out), err) == (0, [1, 2, 3, 4, 5], "")
    assert {call.list_events.sort_order for call in Script.requests} == {"asc"}


def test_checkpoints_are_listed_by_page(run: Run) -> None:
    def page(name: str, token: str = "") -> pb.RpcResponse:
        found = [pb.CheckpointSummary(checkpoint_id=name, instance_id="i", created_at_ms=1, data_size_bytes=2)]
        answer = pb.ListCheckpointsResponse(checkpoints=found, total_count=2, next_page_token=token)
        return pb.RpcResponse(list_checkpoints=answer)

    code, out, _ = run([page("new", "next"), page("old")], "checkpoints", "i", "--all", "--json")
    assert (code, [item["checkpoint_id"] for item in json.loads(out)["checkpoints"]]) == (0, ["new", "old"])
    code, _, err = run([page("new", "next")], "checkpoints", "i", "--limit", "1", "--table")
    assert (code, err) == (0, "1 of 2; --all lists all, --page-token next goes on\n")


def test_images_are_listed_by_page(run: Run) -> None:
    image = pb.ImageSummary(image_id="im", name="order", runner_type=pb.RUNNER_NATIVE)
    pages = [
        pb.RpcResponse(list_images=pb.ListImagesResponse(images=[image], total_count=2, next_page_token=token))
        for token in ("next", "")
    ]
    assert len(json.loads(run([*pages], "list-images", "--all")[1])["images"]) == 2
    shown = pb.RpcResponse(get_image=pb.GetImageResponse(found=True, image=image))
    assert "name     order" in run([shown], "get-image", "im", "t", "--table")[1]


def test_steps_are_a_table(run: Run) -> None:
    page = steps(("pay", pb.STEP_STATUS_FAILED), ("wait", pb.STEP_STATUS_RUNNING))
    page.list_step_summaries.steps[0].duration_ms = 83_000
    page.list_step_summaries.steps[0].error = b'"no"'
    code, out, _ = run([page], "steps", "i", "--table", "--root")
    assert code == 0
    assert out.splitlines()[1].split("  ")[0] == "pay"
    assert "1 min 23 s" in out
    assert Script.requests[0].list_step_summaries.root_scopes_only
    assert json.loads(run([page], "steps", "i")[1])["steps"][0]["error"] == "no"
    assert "compile --debug" in run([steps()], "steps", "i", "--table")[2]


def test_scopes_and_metrics(run: Run) -> None:
    scope = pb.ScopeInfo(scope_id="sc_a_0", step_id="a", step_type="Split", index=0)
    answer = pb.RpcResponse(get_scope_ancestors=pb.GetScopeAncestorsResponse(ancestors=[scope]))
    assert run([answer], "scope", "i", "sc_a_0", "--table")[1].splitlines()[1].split()[:4] == [
        "sc_a_0",
        "a",
        "Split",
        "0",
    ]
    assert json.loads(run([answer], "scope", "i", "sc_a_0")[1])["ancestors"][0]["index"] == 0
    buckets = [
        pb.MetricsBucket(bucket_time_ms=0),
        pb.MetricsBucket(bucket_time_ms=3_600_000, invocation_count=3, success_count=2, success_rate_percent=200 / 3),
    ]
    found = pb.RpcResponse(get_tenant_metrics=pb.GetTenantMetricsResponse(tenant_id="t", buckets=buckets))
    out = run([found], "metrics", "--tenant", "t", "--table", "--daily", "--since", "30d")[1]
    assert len(out.splitlines()) == 2
    assert "66.7 %" in out
    call = Script.requests[0].get_tenant_metrics
    assert (call.granularity, call.end_time_ms - call.start_time_ms) == (pb.GRANULARITY_DAILY, 30 * 86_400_000 + 1)
    assert len(json.loads(run([found], "metrics", "--tenant", "t")[1])["buckets"]) == 2


def test_changes_are_lines_where_there_is_no_terminal(run: Run) -> None:
    answers: Answers = [
        instances("a", "b"),
        TransportError("away"),
        TransportError("away"),
        instances("a", "b"),
        instances("b"),  # the filter does not find the other any more
        status(pb.STATUS_FAILED, termination_reason="timeout"),
        KeyboardInterrupt(),
    ]
    code, out, err = run(answers, "watch", "--status", "running", "--interval", "0.2")
    told = [line.split()[1:3] for line in out.splitlines()]
    assert (code, told) == (130, [["b", "running"], ["a", "running"], ["a", "failed"]])
    assert err.count("does not answer") == 1


def test_one_instance_is_watched_until_it_has_ended(run: Run) -> None:
    def answers() -> Answers:
        return [
            status(pb.STATUS_RUNNING),
            steps(("pay", pb.STEP_STATUS_RUNNING)),
            status(pb.STATUS_RUNNING),
            steps(("wait", pb.STEP_STATUS_RUNNING), ("pay", pb.STEP_STATUS_COMPLETED)),
            status(pb.STATUS_COMPLETED, termination_reason="completed"),
            steps(("wait", pb.STEP_STATUS_COMPLETED), ("pay", pb.STEP_STATUS_COMPLETED)),
        ]

    code, out, _ = run(answers(), "watch", "a", "--interval", "0.2", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(each.get("step_id"), each["status"]) for each in told] == [
        ("pay", "running"),
        (None, "running"),
        ("pay", "completed"),
        ("wait", "running"),
        ("wait", "completed"),
        (None, "completed"),
    ]
    assert all(each["at"].endswith("Z") for each in told)
    assert run([], "watch", "a", "--status", "failed")[0] == 2


def test_a_terminal_sees_one_table_in_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtara_sdk.cli.ctl.watch.is_live", lambda: True)
    monkeypatch.setenv("LINES", "6")
    answers: Answers = [
        status(pb.STATUS_RUNNING),
        steps(("pay", pb.STEP_STATUS_RUNNING)),
        TransportError("away"),
        status(pb.STATUS_COMPLETED, termination_reason="completed"),
        steps(*((f"step-{n}", pb.STEP_STATUS_COMPLETED) for n in range(9))),
    ]
    code, out, _ = run(answers, "watch", "a", "--interval", "0.2")
    assert code == 0
    first, away, last = out.split("\x1b[?7l")[1:]
    assert "a is running" in first
    assert all(frame.endswith("\x1b[?7h") for frame in (first, away, last))  # the terminal is as it was
    shown = first.count("\n")
    assert away.startswith(f"\x1b[{shown}F\x1b[J")
    assert "does not answer: away" in away
    assert last.startswith(f"\x1b[{away.count(chr(10))}F\x1b[J")
    assert last.count("\n") < 6  # no more than the terminal has
    assert "more" in last


def test_columns_keep_their_places() -> None:
    table = Table(("ID", "NAME"))
    assert table.lines([("first", "a")]) == ["ID     NAME", "first  a"]
    assert table.lines([("2", "b")]) == ["2      b"]
