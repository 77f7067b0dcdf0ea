"""Threads for work that may never come back: they alone are lost to it, and that for no longer than it takes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from runtara_environment import own_threads
from runtara_environment.own_threads import NoAnswerError, OwnThreads

PROGRAM = """
import asyncio, sys
from runtara_environment.own_threads import NoAnswerError, OwnThreads

async def main():
    threads = OwnThreads(1, "hangs", seconds=0.05)
    try:
        await threads.run(open, sys.argv[1])
    except NoAnswerError:
        print("no answer")

asyncio.run(main())
"""


def fail() -> None:
    raise TimeoutError("of the function")


async def test_what_a_function_returns_or_raises_comes_back() -> None:
    threads = OwnThreads(1, "test", seconds=60)
    thread = await threads.run(threading.current_thread)
    assert (thread.name, thread.daemon) == ("test", True)
    with pytest.raises(TimeoutError, match="of the function"):
        await threads.run(fail)
    assert await threads.run(max, 1, 2) == 2


async def test_what_hangs_takes_its_own_threads_until_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_threads, "_SECONDS_WHEN_ALL_HANG", 0.01)
    threads = OwnThreads(2, "hangs", seconds=0.05)
    answers = threading.Event()
    for _ in range(2):
        with pytest.raises(NoAnswerError):
            await threads.run(answers.wait)
    assert threads._patience(asyncio.get_running_loop().time()) == 0.01
    calls = [asyncio.create_task(threads.run(answers.wait)) for _ in range(20)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NoAnswerError}
    assert sum(thread.name == "hangs" for thread in threading.enumerate()) == 2
    assert await asyncio.to_thread(max, 1, 2) == 2  # nobody else lacks a thread
    answers.set()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await threads.run(max, 1, 2) == 2
                break
            except NoAnswerError:
                continue


async def test_who_leaves_does_not_free_the_thread_that_works() -> None:
    threads = OwnThreads(1, "works")
    begun, answers = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        answers.wait()

    leaving = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(begun.wait)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    waiting = asyncio.create_task(threads.run(max, 1, 2))
    await asyncio.sleep(0)
    assert not waiting.done()
    answers.set()
    assert await waiting == 2


async def test_a_host_without_threads_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = OwnThreads(1, "test", seconds=60)

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="no thread can be started"):
            await threads.run(max, 1, 2)
    assert await threads.run(max, 1, 2) == 2


def test_a_process_ends_while_a_thread_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "pipe")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "no answer\n"), done.stderr
