"""Imports one module in a fresh interpreter and tells what that did. Runs as the program of a child process.

    python -P -B -c "<CODE>" MODULE ATTRIBUTE RESULT_FILE

The result is a JSON object in RESULT_FILE; see `ImportReport` in `importing`, which starts the process.
"""

from __future__ import annotations

import asyncio
import builtins
import decimal
import gc
import importlib
import json
import locale
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

CODE = """\
import sys, time
began = time.perf_counter()
import runtara_sdk.agents
seconds = time.perf_counter() - began
from runtara_sdk.testing.agent_checks.import_probe import report
report(*sys.argv[1:], seconds)
"""
"""What the child process runs: the SDK's own import is the measure of the agent's."""

_ACTS = {
    "os.exec": "starts a process",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.mkdir": "makes a directory",
    "os.posix_spawn": "starts a process",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.rmdir": "removes a directory",
    "os.spawn": "starts a process",
    "os.system": "starts a process",
    "pty.spawn": "starts a process",
    "socket.bind": "binds a socket",
    "socket.connect": "connects a socket",
    "socket.getaddrinfo": "looks up a host",
    "socket.gethostbyname": "looks up a host",
    "socket.__new__": "opens a socket",
    "subprocess.Popen": "starts a process",
}
_THREAD_STARTS = (
    ("_thread", "start_new_thread"),
    ("threading", "_start_new_thread"),
    ("threading", "_start_joinable_thread"),
)
"""What starts threads, by version of Python: no event tells of it."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOST = 50


class _Watch:
    """Notes what code does while it is imported; `is_on` says whether that is now."""

    def __init__(self) -> None:
        self.is_on = False
        self.acts: dict[str, None] = {}
        self.variables: dict[str, str] = {}
        self.copies: dict[str, None] = {}

    def begin(self) -> None:
        sys.addaudithook(self._audit)
        for module, name in _THREAD_STARTS:
            if hasattr(sys.modules[module], name):
                setattr(sys.modules[module], name, self._noting_thread(getattr(sys.modules[module], name)))
        environment: Any = type(os.environ)  # its class is private
        read, iterate = environment.__getitem__, environment.__iter__

        def noting_read(variables: Any, name: str) -> Any:
            # What copies all variables reads each of them: that says nothing of the single one.
            if self.is_on and len(self.variables) < _MOST and (place := _place()) not in self.copies:
                self.variables.setdefault(str(name), place)
            return read(variables, name)

        def noting_iterate(variables: Any) -> Iterator[str]:
            if self.is_on:
                self.copies.setdefault(_place())
            return iter(iterate(variables))

        environment.__getitem__, environment.__iter__ = noting_read, noting_iterate
        self.is_on = True

    def _noting_thread(self, start: Callable[..., Any]) -> Callable[..., Any]:
        def noting_start(*arguments: Any, **named: Any) -> Any:
            self._note("starts a thread")
            return start(*arguments, **named)

        return noting_start

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        act = _writes(*arguments) if event == "open" else _ACTS.get(event)
        if act is not None:
            self._note(act)

    def _note(self, act: str) -> None:
        if self.is_on and len(self.acts) < _MOST:
            self.acts.setdefault(f"{act} (in {_place()})")


def _writes(path: Any, mode: Any, flags: Any) -> str | None:
    if not isinstance(flags, int) or not flags & _WRITING or isinstance(path, int) or path == os.devnull:
        return None
    return f"writes the file {path!r}"


def _place() -> str:
    """The module and line, outside of the standard library, whose import does what is being noted."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the only way to the callers
    nearest = "the standard library"
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in sys.stdlib_module_names and name not in (__name__, "__main__", ""):
            return f"{name}, line {frame.f_lineno}"
        frame = frame.f_back
    return nearest


def _global_state() -> dict[str, Any]:
    """What belongs to the whole process, in words and comparable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        policy = type(asyncio.get_event_loop_policy()).__qualname__
    mask = os.umask(0)
    os.umask(mask)
    root = logging.getLogger()
    return {
        "signal handlers": {number.name: str(signal.getsignal(number)) for number in sorted(signal.Signals)},
        "the event loop policy": policy,
        "the locale": locale.setlocale(locale.LC_ALL, None),
        "the filters of warnings": [str(item) for item in warnings.filters],
        "the handlers of the root logger": [str(handler) for handler in root.handlers],
        "the level of the root logger": [root.level, logging.root.manager.disable],
        "the class of loggers": str(logging.getLoggerClass()),
        "sys.excepthook": str(sys.excepthook),
        "threading.excepthook": str(threading.excepthook),
        "sys.path": list(sys.path),
        "sys.meta_path": [str(finder) for finder in sys.meta_path],
        "sys.stdout and sys.stderr": [id(sys.stdout), id(sys.stderr)],
        "the recursion limit": sys.getrecursionlimit(),
        "the switch interval": sys.getswitchinterval(),
        "the names of builtins": sorted(set(dir(builtins)) - {"_"}),
        "the default timeout of sockets": socket.getdefaulttimeout(),
        "the context of decimals": str(decimal.getcontext().copy()),
        "the garbage collector": [gc.isenabled(), gc.get_threshold()],
        "the working directory": str(Path.cwd()),
        "the umask": mask,
        "environment variables": hash(frozenset(os.environ._data.items())),  # type: ignore[attr-defined]  # noqa: SLF001 - unseen by the watch
    }


def report(module: str, attribute: str, result_file: str, sdk_seconds: float) -> None:
    """Import `module`, and write what that did to `result_file`."""
    names_before = set(sys.modules)
    state_before = _global_state()
    watch = _Watch()
    problem: str | None = None
    watch.begin()
    began = time.perf_counter()
    try:
        getattr(importlib.import_module(module), attribute)
    except BaseException as error:  # noqa: BLE001 - SystemExit is what some modules do
        problem = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - began
    watch.is_on = False
    state = _global_state()
    document = {
        "problem": problem,
        "sdk_seconds": sdk_seconds,
        "seconds": seconds,
        "acts": list(watch.acts),
        "variables": watch.variables,
        "copies": list(watch.copies),
        "changed": [name for name in state if state[name] != state_before[name]],
        "modules": sorted(sys.modules),
        "new_modules": {name: _file(name) for name in sorted(set(sys.modules) - names_before)},
    }
    Path(result_file).write_text(json.dumps(document), encoding="utf-8")


def _file(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)
