"""Lists of the management SDK: filters, pages, iterators, steps, metrics."""

from __future__ import annotations

import pytest
from runtara_sdk import InstanceStatus, InvalidInputError, ManagementSdk, ManagementSettings, ProtocolError
from runtara_sdk.management import MetricsGranularity, StepStatus, as_json
from runtara_sdk.models import TerminationReason
from runtara_sdk.protocol import environment_pb2 as pb


class Pages:
    """Takes the place of a client: gives the answers one after the other."""

    def __init__(self, *answers: pb.RpcResponse) -> None:
        self.answers = list(answers)
        self.requests: list[pb.RpcRequest] = []

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def call(self, payload: bytes, *, timeout_ms: int | None = None) -> bytes:
        self.requests.append(pb.RpcRequest.FromString(payload))
        return self.answers.pop(0).SerializeToString()


def sdk_of(*answers: pb.RpcResponse) -> tuple[ManagementSdk, Pages]:
    client = Pages(*answers)
    # The client has what is needed here.
    return ManagementSdk(ManagementSettings(tenant_id="t"), client=client), client  # type: ignore[arg-type]


def instances(*ids: str, token: str = "", total: int = 5) -> pb.RpcResponse:
    listed = [pb.InstanceSummary(instance_id=each, status=pb.STATUS_FAILED) for each in ids]
    answer = pb.ListInstancesResponse(instances=listed, total_count=total, next_page_token=token)
    return pb.RpcResponse(list_instances=answer)


async def test_every_row_comes_a_page_at_a_time() -> None:
    sdk, client = sdk_of(instances("a", "b", token="next"), instances("c", token="last"), instances())
    rows = sdk.iterate_instances(status=[InstanceStatus.FAILED, InstanceStatus.CANCELLED], page_size=2)
    assert (await anext(rows)).instance_id == "a"
    assert len(client.requests) == 1  # a page is not asked for before it is wanted
    assert [row.instance_id async for row in rows] == ["b", "c"]
    asked = [request.list_instances for request in client.requests]
    assert [call.page_token for call in asked] == ["", "next", "last"]
    assert {(call.limit, call.offset, tuple(call.statuses)) for call in asked} == {(2, 0, (5, 6))}


async def test_a_server_without_tokens_is_named_instead_of_leaving_rows_out() -> None:
    sdk, _ = sdk_of(instances("a", "b", total=3))
    with pytest.raises(ProtocolError, match="page tokens"):
        [row async for row in sdk.iterate_instances()]
    sdk, _ = sdk_of(instances("a", "b", total=2))
    assert len([row async for row in sdk.iterate_instances()]) == 2


@pytest.mark.parametrize(("limit", "offset", "named"), [(10, -1, "offset is -1"), (2**32, 0, "limit is 4294967296")])
async def test_impossible_pages_are_named_before_anything_is_sent(limit: int, offset: int, named: str) -> None:
    sdk, client = sdk_of()
    for asked in (
        sdk.list_instances(limit=limit, offset=offset),
        sdk.list_images(limit=limit, offset=offset),
        sdk.list_events("i", limit=limit, offset=offset),
        sdk.list_checkpoints("i", limit=limit, offset=offset),
        sdk.list_step_summaries("i", limit=limit, offset=offset),
    ):
        with pytest.raises(InvalidInputError, match=named):
            await asked
    with pytest.raises(InvalidInputError, match="limit is -1"):
        await sdk.list_image_versions("image", "t", limit=-1)
    assert not client.requests


async def test_filters_are_sent() -> None:
    sdk, client = sdk_of(instances(token="more"), instances(), instances())
    page = await sdk.list_instances(status=InstanceStatus.RUNNING, termination_reason=TerminationReason.TIMEOUT)
    assert page.next_page_token == "more"
    assert as_json(page)["next_page_token"] == "more"
    page = await sdk.list_instances(termination_reason={TerminationReason.PAUSED}, page_token="more")
    assert "next_page_token" not in as_json(page)
    first, second = (request.list_instances for request in client.requests)
    # One status goes where the original protocol has it.
    assert (first.status, list(first.statuses), list(first.termination_reasons)) == (pb.STATUS_RUNNING, [], ["timeout"])
    assert (second.HasField("status"), second.page_token, second.tenant_id) == (False, "more", "t")
    assert (await sdk.list_instances(status=())).total_count == 0  # of no status there is nothing
    assert len(client.requests) == 2
    with pytest.raises(InvalidInputError, match="status"):
        await sdk.list_instances(status="failed")  # type: ignore[arg-type]  # what is refused


async def test_steps_are_read() -> None:
    failed = pb.StepSummary(
        step_id="pay",
        step_name="Pay",
        step_type="Agent",
        status=pb.STEP_STATUS_FAILED,
        started_at_ms=1,
        completed_at_ms=5,
        duration_ms=4,
        inputs=b'{"a": 1}',
        error=b'"no"',
        scope_id="sc_a_0",
        parent_scope_id="sc_a",
    )
    running = pb.StepSummary(step_id="wait", step_type="Delay", started_at_ms=6)
    answer = pb.ListStepSummariesResponse(steps=[failed, running], total_count=2)
    sdk, client = sdk_of(pb.RpcResponse(list_step_summaries=answer), pb.RpcResponse(list_step_summaries=answer))
    page = await sdk.list_step_summaries("i", status=StepStatus.FAILED, root_scopes_only=True)
    first, second = page.steps
    assert (first.status, first.inputs, first.outputs, first.error) == (StepStatus.FAILED, {"a": 1}, None, "no")
    assert (second.status, second.step_name, second.duration_ms) == (StepStatus.RUNNING, None, None)
    assert as_json(second)["started_at"] == "1970-01-01T00:00:00.006Z"
    call = client.requests[0].list_step_summaries
    assert (call.status, call.root_scopes_only, call.sort_order, call.tenant_id) == ("failed", True, "asc", "t")
    assert [step.step_id async for step in sdk.iterate_step_summaries("i", sort_order="desc")] == ["pay", "wait"]


async def test_scopes_and_metrics_are_read() -> None:
    scopes = [pb.ScopeInfo(scope_id="a_0", parent_scope_id="a", step_id="s", step_type="Split", index=0)]
    bucket = pb.MetricsBucket(bucket_time_ms=3_600_000, invocation_count=2, avg_duration_ms=1.5)
    metrics = pb.GetTenantMetricsResponse(tenant_id="t", granularity=pb.GRANULARITY_DAILY, buckets=[bucket])
    sdk, client = sdk_of(
        pb.RpcResponse(get_scope_ancestors=pb.GetScopeAncestorsResponse(ancestors=scopes)),
        pb.RpcResponse(get_tenant_metrics=metrics),
    )
    (scope,) = await sdk.get_scope_ancestors("i", "a_0")
    assert (scope.index, scope.parent_scope_id, scope.step_name) == (0, "a", None)
    found = await sdk.get_tenant_metrics(start_time_ms=1, granularity=MetricsGranularity.DAILY)
    assert (found.granularity, found.buckets[0].avg_duration_ms) == (MetricsGranularity.DAILY, 1.5)
    assert found.buckets[0].success_rate_percent is None
    assert as_json(found)["buckets"][0]["bucket_time"] == "1970-01-01T01:00:00.000Z"
    call = client.requests[1].get_tenant_metrics
    assert (call.tenant_id, call.start_time_ms, call.HasField("end_time_ms")) == ("t", 1, False)
    with pytest.raises(InvalidInputError, match="tenant_id"):
        # The client has what is needed here.
        await ManagementSdk(ManagementSettings(), client=client).get_tenant_metrics()  # type: ignore[arg-type]
