"""What runs in the child process: lists the installed agents, or calls one capability once.

Where standard input and output belong to the daemon, they are taken away before any agent is imported. Whatever an
agent prints goes to standard error, and whatever it reads is empty. Once the daemon is gone, the process and all that
it has started are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import resource
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from runtara_sdk.agent_process.messages import (
    AGENT_GROUP,
    AGENT_UNAVAILABLE,
    CALL,
    LIST,
    LOADING,
    RESULT_TOO_LARGE,
    CallOrder,
)
from runtara_sdk.clock import SystemClock
from runtara_sdk.errors import ConfigurationError, InvalidInputError
from runtara_sdk.plugins import Plugin, find_plugins
from runtara_sdk.strict_json import parse_strict_json
from runtara_sdk.written_decimal import dump_json

if TYPE_CHECKING:
    from runtara_sdk.agent_process.single_call import CallOutcome
    from runtara_sdk.agents import AgentDefinition, DiscoveredAgent

Result = TypeVar("Result")

_MEMORY_BYTES = 4 * 1024**3
_FILE_BYTES = 1024**3
_SPARE_CPU_SECONDS = 10
_LISTING_CPU_SECONDS = 120
_MAX_PLUGIN_FILES = 1_000


class _Daemon:
    """The daemon's ends of this process, kept from everything that is imported later.

    Args:
        orders: descriptor of what it says.
        answers: descriptor of what it hears.
    """

    def __init__(self, orders: int, answers: int) -> None:
        self._answers = os.fdopen(answers, "wb", buffering=0)
        self.orders: BinaryIO = os.fdopen(orders, "rb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    @classmethod
    def of_standard_streams(cls) -> _Daemon:
        """The daemon is at the other end of standard input and output."""
        return cls(os.dup(0), os.dup(1))

    @classmethod
    def of_paths(cls, orders: str, answers: str) -> _Daemon:
        """The daemon holds a named pipe open, and reads a file once this process has ended."""
        # Without waiting for a writer: a daemon that has died meanwhile never comes, and then there is nothing to read.
        order = os.open(orders, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(order, True)
        return cls(order, os.open(answers, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def tell(self, line: Mapping[str, Any] | str) -> None:
        """Write a line; a daemon that is gone hears nothing."""
        text = line if isinstance(line, str) else json.dumps(line)
        with contextlib.suppress(BrokenPipeError):
            content = memoryview(text.encode() + b"\n")
            while content:
                content = content[self._answers.write(content) :]

    def watch(self) -> None:
        """Kill everything of this process once the daemon has closed its end, or has died."""
        threading.Thread(target=self._await_end, name="runtara-daemon", daemon=True).start()

    def _await_end(self) -> None:
        self.orders.read()
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


class _AnnouncedPlugin(Plugin):
    """A plugin that is named to the daemon before its code runs, in case that ends or blocks the whole process."""

    daemon: _Daemon

    def guard(self, load: Callable[[], Result]) -> Result:
        """As of any plugin."""
        self.daemon.tell({LOADING: {"distribution": self.distribution, "name": self.name}})
        try:
            return super().guard(load)
        finally:
            self.daemon.tell({LOADING: None})


def list_agents(daemon: _Daemon) -> dict[str, Any]:
    """`{agents, broken, sources}`, or `{error}` when a bundle cannot be used.

    An agent is `{info, schemas, module, attribute}`: its AgentInfo, the JSON Schemas of each of its capabilities, and
    where its definition is. `sources` are the files that decide the answer, but for those of Python: of all modules
    that were imported, and of all plugins.
    """
    from runtara_sdk.agents import discover_agents

    _AnnouncedPlugin.daemon = daemon
    plugins = [
        _AnnouncedPlugin(each.group, each.name, each.target, each.distribution, each.version, each.is_enabled)
        for each in find_plugins(AGENT_GROUP)
    ]
    try:
        found = discover_agents(plugins=plugins)
    except ConfigurationError as error:
        return {"error": {"code": error.code, "message": error.message}}
    broken = [{"distribution": each.distribution, "name": each.name, "reason": each.reason} for each in found.broken]
    agents = []
    for _, agent in sorted(found.agents.items()):
        try:
            agents.append(_described(agent))
        except Exception as error:  # noqa: BLE001 - pydantic makes no schema of what the author's types hold
            broken.append(
                {
                    "distribution": agent.distribution,
                    "name": agent.definition.id,
                    "reason": f"no JSON Schema: {error}"[:500],
                }
            )
    return {"agents": agents, "broken": broken, "sources": sorted(_imported_files() | _plugin_files(plugins))}


def _described(agent: DiscoveredAgent) -> dict[str, Any]:
    return {
        "info": agent.definition.metadata(),
        "schemas": {
            each.id: {"inputSchema": each.input_schema(), "outputSchema": each.output_schema()}
            for each in agent.definition.capabilities
        },
        "module": agent.module,
        "attribute": agent.attribute,
    }


def _imported_files() -> set[str]:
    """Files of imported modules that an installer or an author may change."""
    of_python = f"{sysconfig.get_path('stdlib')}{os.sep}"
    packages = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    files = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    return {file for file in files if file and (not file.startswith(of_python) or file.startswith(packages))}


def _plugin_files(plugins: Iterable[Plugin]) -> set[str]:
    """Files of the plugins, with those that could not be imported: an author mends them."""
    files: set[str] = set()
    for plugin in plugins:
        with contextlib.suppress(ImportError, ValueError, OSError):
            spec = importlib.util.find_spec(plugin.target.partition(":")[0].partition(".")[0])
            if spec is not None and spec.origin is not None:
                files.add(spec.origin)
            for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
                files.update(map(str, itertools.islice(Path(folder).rglob("*.py"), _MAX_PLUGIN_FILES)))
    return files


async def call_capability(order: CallOrder) -> str:
    """The outcome of the call as JSON on one line: `{success, output or error, execution_time_ms}`."""
    from runtara_sdk.agent_process.single_call import CallOutcome, call_once
    from runtara_sdk.agents.errors import AgentError
    from runtara_sdk.agents.workspace import Workspace
    from runtara_sdk.settings import EnvironmentReader

    try:
        inputs = _object(order.inputs, "the input")
        if order.connection is not None:
            inputs["_connection"] = _object(order.connection, "the connection")
    except InvalidInputError as error:
        return _line(CallOutcome(0, error=AgentError.permanent(error.code, error.message).to_json()))
    try:
        agent = _agent(order)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an author's module: whatever it raises is told
        text = f"{order.module} cannot be imported: {type(error).__name__}: {error}"
        return _line(CallOutcome(0, error=AgentError.permanent(AGENT_UNAVAILABLE, text[:2_000]).to_json()))
    workspace = Workspace.from_environment(EnvironmentReader())
    outcome = await call_once(agent, order.capability_id, inputs, timeout_ms=_left_ms(order), workspace=workspace)
    line = _line(outcome)
    if len(line) <= order.max_result_bytes:  # characters are bytes: all others are escaped
        return line
    text = f"the result has more than {order.max_result_bytes} bytes as JSON, the most that a test gives back"
    error_document = AgentError.permanent(RESULT_TOO_LARGE, text).to_json()
    return _line(CallOutcome(outcome.execution_time_ms, error=error_document))


def _left_ms(order: CallOrder) -> int:
    return max(0, order.deadline_ms - SystemClock().now_ms())


def _agent(order: CallOrder) -> AgentDefinition:
    from runtara_sdk.agents import AgentDefinition

    definition = getattr(importlib.import_module(order.module), order.attribute)
    if not isinstance(definition, AgentDefinition):
        raise TypeError(f"{order.attribute} is no AgentDefinition")
    return definition


def _object(content: bytes, source: str) -> dict[str, Any]:
    value = parse_strict_json(content, source)
    if not isinstance(value, dict):
        raise InvalidInputError(f"{source} must be a JSON object")
    return value


def _line(outcome: CallOutcome) -> str:
    return dump_json(outcome.to_json())


def _limit(kind: int, most: int) -> None:
    """Lower a limit of this process and what it starts; one that is lower already stays."""
    _, hard = resource.getrlimit(kind)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))


def _set_limits(cpu_seconds: int) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)
    _limit(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _limit(resource.RLIMIT_CPU, cpu_seconds)


async def _call_and_tell(daemon: _Daemon, order: CallOrder) -> None:
    daemon.tell(await call_capability(order))
    os._exit(0)  # threads and tasks that the capability has left behind keep nobody waiting


def main() -> None:
    """Entry point: `list`, or `call` with the paths of the order and of the answer."""
    command, *paths = sys.argv[1:]
    if command == CALL:
        order_path, answer_path = paths
        daemon = _Daemon.of_paths(order_path, answer_path)
        order = CallOrder.read(daemon.orders)
        daemon.watch()
        _set_limits(_left_ms(order) // 1000 + _SPARE_CPU_SECONDS)
        asyncio.run(_call_and_tell(daemon, order))
    elif command == LIST:
        daemon = _Daemon.of_standard_streams()
        daemon.watch()
        _set_limits(_LISTING_CPU_SECONDS)
        daemon.tell(list_agents(daemon))
        os._exit(0)
    else:
        raise SystemExit(f"{Path(__file__).name}: unknown command {command!r}")


if __name__ == "__main__":
    main()
