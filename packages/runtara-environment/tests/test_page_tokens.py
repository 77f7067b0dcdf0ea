"""Tokens of pages go with the list, the filter and the order that they were given for."""

from __future__ import annotations

import pytest
from runtara_environment.wire.page_tokens import PageToken, page_token, read_page_token
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.protocol import environment_pb2 as pb

FILTER = {"instance_id": "i", "subtype": "note", "tenant_id": "t"}


def test_a_token_gives_back_its_key() -> None:
    call = pb.ListEventsRequest(**FILTER, limit=10)
    token = page_token(call, (7,), 42)
    again = pb.ListEventsRequest(**FILTER, limit=5, page_token=token)  # the size of a page may change
    assert read_page_token(again, (int,)) == PageToken((7,), 42)
    assert read_page_token(call, (int,)) is None


@pytest.mark.parametrize(
    "other",
    [
        pb.ListEventsRequest(instance_id="j", subtype="note", tenant_id="t"),
        pb.ListEventsRequest(instance_id="i", tenant_id="t"),
        pb.ListEventsRequest(**FILTER, sort_order="asc"),
        pb.ListEventsRequest(instance_id="i", subtype="note", tenant_id="u"),
        pb.ListStepSummariesRequest(instance_id="i", tenant_id="t"),
        pb.ListCheckpointsRequest(instance_id="i", tenant_id="t"),
    ],
)
def test_a_token_of_another_list_is_refused(other: pb.ListEventsRequest) -> None:
    other.page_token = page_token(pb.ListEventsRequest(**FILTER), (7,), 42)
    with pytest.raises(InvalidInputError, match="same filter and order"):
        read_page_token(other, (int,))


def test_a_token_that_was_changed_is_refused() -> None:
    call = pb.ListEventsRequest(**FILTER)
    token = page_token(call, (7,), 42)
    others = [token[:-4], f"{token}AAAA", "?", "bm8=", "W10=", "e30=", "x" * 10_000, page_token(call, ("7",), 42)]
    others += [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, len(token) - 2, 5)]
    others.append(page_token(call, (7, 8), 42))
    for other in others:
        call.page_token = other
        with pytest.raises(InvalidInputError, match="page_token"):
            read_page_token(call, (int,))


def test_a_token_and_an_offset_exclude_each_other() -> None:
    call = pb.ListEventsRequest(**FILTER)
    call.page_token, call.offset = page_token(call, (7,), 42), 3
    with pytest.raises(InvalidInputError, match="offset"):
        read_page_token(call, (int,))
