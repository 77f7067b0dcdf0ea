"""A daemon of the product that kills itself at a chosen point, and nothing else of it is changed.

    python doomed_daemon.py core --at runtara_core.instance_service:InstanceService.checkpoint --when after --call 5

The named coroutine method is wrapped: at its N-th call the process sends itself SIGKILL, before the call or after it
returned. Claims that return nothing do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib
import itertools
import os
import signal
from typing import Any


def arm(target: str, when: str, call: int) -> None:
    """Let the process die around the `call`-th call of `MODULE:CLASS.METHOD`."""
    module_name, _, path = target.partition(":")
    class_name, _, method = path.partition(".")
    owner = getattr(importlib.import_module(module_name), class_name)
    original = getattr(owner, method)
    numbers = itertools.count(1)

    async def doomed(self: Any, *arguments: Any, **options: Any) -> Any:
        if when == "before" and next(numbers) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await original(self, *arguments, **options)
        counts = result or method != "claim_launches"
        if when == "after" and counts and next(numbers) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, doomed)


def serve_core(max_recoveries: int | None = None) -> None:
    """What `runtara-core` does; it may launch more often in a row without a checkpoint, and then without long waits."""
    from runtara_core.daemon import run_core
    from runtara_core.settings import CoreSettings

    settings = CoreSettings.from_environment()
    if max_recoveries is not None:
        recovery = dataclasses.replace(settings.limits.recovery, max_recoveries=max_recoveries, backoff_cap_ms=1_000)
        settings = dataclasses.replace(settings, limits=dataclasses.replace(settings.limits, recovery=recovery))
    asyncio.run(run_core(settings, lambda _: print("core serves", flush=True)))


def serve_environment(lease_ms: int, heartbeat_timeout_seconds: int | None = None) -> None:
    """What `runtara-environment` does, with leases and a bound of silence of other lengths."""
    from runtara_environment.daemon import run_environment
    from runtara_environment.settings import EnvironmentSettings

    settings = EnvironmentSettings.from_environment()
    supervision = dataclasses.replace(settings.supervision, lease_ms=lease_ms)
    if heartbeat_timeout_seconds is not None:
        supervision = dataclasses.replace(supervision, heartbeat_timeout_seconds=heartbeat_timeout_seconds)
    settings = dataclasses.replace(settings, supervision=supervision)
    asyncio.run(run_environment(settings, lambda _: print("environment serves", flush=True)))


def main() -> None:
    """Entry point."""
    from runtara_core.daemon_logging import configure_logging

    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["core", "environment"])
    parser.add_argument("--at")
    parser.add_argument("--when", choices=["before", "after"], default="before")
    parser.add_argument("--call", type=int, default=1)
    parser.add_argument("--lease-ms", type=int, default=30_000)
    parser.add_argument("--max-recoveries", type=int)
    parser.add_argument("--heartbeat-timeout", type=int)
    arguments = parser.parse_args()
    configure_logging()
    if arguments.at:
        arm(arguments.at, arguments.when, arguments.call)
    if arguments.role == "core":
        serve_core(arguments.max_recoveries)
    else:
        serve_environment(arguments.lease_ms, arguments.heartbeat_timeout)


if __name__ == "__main__":
    main()
