"""Warnings that clients can cause at will do not fill the log."""

from __future__ import annotations

import asyncio
import logging

import pytest
from runtara_sdk.transport import complaints
from runtara_sdk.transport.complaints import Complaints


async def test_a_few_are_logged_and_the_others_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(complaints, "_PERIOD_SECONDS", 0.01)
    made = Complaints(logging.getLogger("of this test"))
    for number in range(1_000):
        made.warn("client %d lies", number)
    assert caplog.messages == [f"client {number} lies" for number in range(20)]
    async with asyncio.timeout(10):
        while len(caplog.messages) == 20:
            await asyncio.sleep(0.001)
    assert caplog.messages[20:] == ["980 more warnings about clients were left out in 0.01 s"]
    made.warn("another %s", "period")
    assert caplog.messages[21:] == ["another period"]
