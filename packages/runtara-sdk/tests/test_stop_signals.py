"""Programs that are told to stop, once, twice and by somebody who insists."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
from runtara_sdk import stop_signals

async def main():
    stopped = asyncio.Event()
    insist = (lambda: print("leaving", flush=True)) if {may_insist} else None
    stop_signals.stop_at_signals(stopped.set, insist=insist)
    print("ready", flush=True)
    await stopped.wait()
    print("stopping", flush=True)
    # What has to be finished: it ends when the test says so.
    await asyncio.to_thread(input)
    print("finished", flush=True)

if {insists_after} is not None:
    stop_signals.INSISTS_AFTER_SECONDS = {insists_after}
asyncio.run(main())
"""


def start(insists_after: float | None = None, *, may_insist: bool = False) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(insists_after=insists_after, may_insist=may_insist)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_comes_twice_leaves_the_end_alone(number: signal.Signals) -> None:
    with start(insists_after=3600) as process:
        assert process.stdout is not None
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        for again in (number, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process.send_signal(again)
        output, _ = process.communicate("\n", timeout=60)
        assert (output, process.returncode) == ("finished\n", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_somebody_who_insists_ends_it_at_once(number: signal.Signals) -> None:
    with start(insists_after=-1) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        assert process.wait(60) == -number
        process.communicate("\n")


def test_somebody_who_insists_may_be_heard_before() -> None:
    with start(insists_after=-1, may_insist=True) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "leaving\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
        process.communicate("\n")


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # children inherit it, as nohup's do
    try:
        process = start()
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        assert process.stdout is not None
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        output, _ = process.communicate("\n", timeout=60)
        assert (output, process.returncode) == ("finished\n", 0)
