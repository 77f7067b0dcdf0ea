"""Starts the product's daemons as forks of itself, so that they need not be imported anew for each of many runs.

    python daemon_parent.py [RUNTIME] < orders > pids

With a container runtime it is tried once, and not by each daemon again.

An order is a line of JSON: `role`, `log`, `environment`, `lease_ms`, and `plan` when points are to be traced. The
answer is the pid of a process in a session of its own, which dies with its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parent))

from doomed_daemon import serve_core, serve_environment
from points import Plan, Tracer
from runtara_core.daemon_logging import configure_logging
from runtara_environment.runners.oci.runner import OciRunner
from runtara_sdk.protocol import environment_pb2, management_pb2
from runtara_sdk.transport.quic.library_choice import select_library
from seams import trace_containers, trace_database, trace_frames

_PR_SET_PDEATHSIG = 1
_IMPORTED_ONCE = (
    "asyncpg",
    "runtara_core.certificates",
    "runtara_core.database.sqlite",
    "runtara_core.security.instance_tokens",
    "runtara_core.storages.postgres",
    "runtara_core.storages.sqlite",
    "runtara_environment.daemon",
    "runtara_environment.runners.leftovers",
    "runtara_environment.runners.native",
)
"""What a daemon imports, some of it only when it needs it."""


def become(order: dict[str, Any]) -> NoReturn:
    """In the fork: be the daemon."""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(order["environment"])
        configure_logging()
        if order["plan"] is not None:
            tracer = Tracer(Plan(Path(order["plan"])), order["role"])
            trace_database(tracer)
            if order["role"] == "core":
                trace_frames(tracer)
            else:
                trace_frames(tracer, asks=management_pb2.RpcRequest, serves=environment_pb2.RpcRequest)
                if order["environment"].get("RUNTARA_RUNNER") == "oci":
                    trace_containers(tracer)
        if order["role"] == "core":
            serve_core()
        else:
            serve_environment(order["lease_ms"])
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Fork a daemon for each line, until there is none."""
    for module in _IMPORTED_ONCE:
        importlib.import_module(module)
    select_library(None)
    if len(sys.argv) > 1:
        os.environ["RUNTARA_OCI_RUNTIME"] = sys.argv[1]
        asyncio.run(OciRunner().probe())
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        # Only now, for the pid of the last one must not be another's before somebody could take hold of it.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        pid = os.fork()
        if pid == 0:
            become(order)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
