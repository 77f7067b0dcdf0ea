"""Results outlive runs and kills wherever durable state is kept: a core daemon, embedded SQLite, embedded PostgreSQL.

Time is real here, so waits are long where they must end early, and short where they must end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from runtara_sdk import InstanceSuperseded, InvalidStateError, SignalType, durable

from .conftest import Home, now_ms, until
from .durable_programs import PROMPT_SECONDS, Shop, nap

PROGRAM = Path(__file__).with_name("programs") / "patient_buyer.py"


class TestResults:
    async def test_a_later_run_finds_everything_and_repeats_nothing(self, home: Home) -> None:
        shop = Shop()
        for run in (1, 2):
            async with home.sdk() as sdk:
                assert (await sdk.checkpoint("first", b"1")).state in (b"", b"1")
                assert await sdk.step("second", lambda: shop.buy("S-1")) == "receipt of S-1"
                assert await durable(shop.buy)("A-1") == "receipt of A-1"
                async with asyncio.timeout(PROMPT_SECONDS):
                    await sdk.durable_sleep(0.2 if run == 1 else 3_600, "nap")
                await home.send_custom("approval", b"yes")
                assert await sdk.wait_for_signal("approval") == b"yes"
        assert shop.calls == 2
        assert (await home.row()).status == "running"

    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
    async def test_what_has_ended_refuses_to_start(self, home: Home, end: str) -> None:
        sdk = home.sdk()
        async with sdk:
            if end == "completed":
                await sdk.completed({"total": 3})
            elif end == "failed":
                await sdk.failed("no stock")
            else:
                await home.send(SignalType.CANCEL)
                await sdk.poll_signal_now()
                await sdk.check_signals()
        row = await home.row()
        assert row.status == end
        assert row.output == (b'{"total":3}' if end == "completed" else None)
        with pytest.raises(InvalidStateError, match=end):
            async with home.sdk():
                pytest.fail("started")

    async def test_a_newer_run_stops_the_older(self, home: Home) -> None:
        older, newer = home.sdk(), home.sdk()
        async with older:
            await newer.connect()
            await newer.register()
            await older.checkpoint("late", b"1")
        assert isinstance(older.interruption, InstanceSuperseded)
        assert await newer.get_checkpoint("late") is None
        await newer.close()

    async def test_a_newer_run_is_noticed_in_a_wait(self, home: Home) -> None:
        older, newer = home.sdk(), home.sdk()
        async with older:
            sleeper = asyncio.create_task(nap(older))
            await home.waits("wait")
            await newer.connect()
            await newer.register()
            await asyncio.wait_for(sleeper, PROMPT_SECONDS)
        assert isinstance(older.interruption, InstanceSuperseded)
        await newer.close()


class TestKilled:
    async def test_a_killed_program_goes_on_where_it_was(self, home: Home, tmp_path: Path) -> None:
        ledger = tmp_path / "ledger"
        ledger.touch()
        for attempts in (1, 2):  # killed in each of the two backoffs
            async with _program(home, ledger) as process:

                async def attempted(number: int = attempts) -> bool:
                    progress = await home.operator.get_progress(
                        "killed", 'durable::__main__:buy::"A-1"', now_ms=now_ms()
                    )
                    return progress.retry is not None and progress.retry.attempt_number == number + 1

                await until(attempted, f"{attempts} failed attempts")
                process.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
            assert _attempts(ledger) == attempts
        async with _program(home, ledger) as process:
            await until(lambda: _stored(home, 'durable::__main__:buy::"A-1"'), "the purchase")
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await home.send_custom("approval", b"yes", "killed")
        async with _program(home, ledger) as process:
            assert await asyncio.wait_for(process.wait(), 60) == 0
        assert ledger.read_text().splitlines() == ["reserve", "buy A-1", "buy A-1", "buy A-1"]
        row = await home.row("killed")
        assert row.status == "completed"
        assert json.loads(row.output or b"") == ["shelf 7", "receipt of A-1", "yes"]


@asynccontextmanager
async def _program(home: Home, ledger: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    variables = {**os.environ, **home.variables, "RUNTARA_INSTANCE_ID": "killed", "LEDGER": str(ledger)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), env=variables)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _attempts(ledger: Path) -> int:
    return ledger.read_text().splitlines().count("buy A-1")


async def _stored(home: Home, checkpoint_id: str) -> bool:
    return await home.operator.get_checkpoint("killed", checkpoint_id) is not None
