"""Where points are: the calls of the database drivers and the frames of the transport, wrapped to be traced.

Only for processes that a test starts. Nothing else of the product is changed, but that SQLite's reader answers one read
at a time, so that each statement has one operation.
"""

from __future__ import annotations

import inspect
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from points import Passage, Tracer


def trace_database(tracer: Tracer) -> None:
    """Trace every statement of this process, on either database; before anything is opened."""
    names: dict[str, str] = {}
    _learn_query_names(names)
    _trace_sqlite(tracer, names)
    _trace_postgres(tracer, names)


def _learn_query_names(names: dict[str, str]) -> None:
    from runtara_core.database.interface import Transaction
    from runtara_core.database.postgres import PostgresDatabase

    query_of, at_once = Transaction._query, PostgresDatabase.fetch_at_once

    def traced_query(self: Any, name: str, parameters: Any) -> Any:
        query = query_of(self, name, parameters)
        names[query.text] = name  # at each use, for SQLite has queries of the same text
        return query

    async def traced_at_once(self: Any, query: str, /, **options: Any) -> Any:
        names[self._queries[query].text] = query
        return await at_once(self, query, **options)

    Transaction._query = traced_query  # type: ignore[method-assign]  # traced from now on
    PostgresDatabase.fetch_at_once = traced_at_once  # type: ignore[method-assign]  # traced from now on


def _point(names: dict[str, str], operation: str, statement: str) -> str:
    name = names.get(statement) or " ".join(statement.split())[:60].rstrip("; ")
    return f"sql {operation}: {name}"


def _trace_sqlite(tracer: Tracer, names: dict[str, str]) -> None:
    from runtara_core.database import sqlite_worker

    current = threading.local()
    worker = sqlite_worker.SqliteWorker
    original_connect = sqlite3.connect
    run_batch, run_isolated, run_reads = worker._run_batch, worker._run_isolated, worker._run_reads

    class TracedConnection(sqlite3.Connection):
        def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
            passage = tracer.reach(_point(names, getattr(current, "operation", "opening"), statement))
            cursor = super().execute(statement, parameters)
            passage.done()
            return cursor

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return original_connect(*arguments, factory=TracedConnection, **options)

    def traced_batch(self: Any, connection: sqlite3.Connection, batch: Sequence[Any]) -> Any:
        current.operation = batch[0].operation
        return run_batch(self, connection, batch)

    def traced_job(self: Any, connection: sqlite3.Connection, job: Any, *, alone: bool) -> Any:
        first, current.operation = current.operation, job.operation
        try:
            return run_isolated(self, connection, job, alone=alone)
        finally:
            current.operation = first

    def traced_reads(self: Any, connection: sqlite3.Connection, batch: Sequence[Any]) -> Any:
        current.operation = batch[0].operation
        return run_reads(self, connection, batch[:1])

    sqlite3.connect = connect  # type: ignore[assignment]  # traced from now on
    worker._run_batch = traced_batch  # type: ignore[method-assign]  # traced from now on
    worker._run_isolated = traced_job  # type: ignore[method-assign]  # traced from now on
    worker._run_reads = traced_reads  # type: ignore[method-assign]  # traced from now on


def _trace_postgres(tracer: Tracer, names: dict[str, str]) -> None:
    import asyncpg
    from runtara_core.database.postgres import PostgresDatabase

    current: ContextVar[str] = ContextVar("operation", default="opening")
    attempt, fetch_at_once = PostgresDatabase._attempt, PostgresDatabase.fetch_at_once

    async def traced_attempt(self: Any, work: Any, operation: str, *, read_only: bool) -> Any:
        token = current.set(operation)
        try:
            return await attempt(self, work, operation, read_only=read_only)
        finally:
            current.reset(token)

    async def traced_fetch(self: Any, query: str, /, *, operation: str, **parameters: Any) -> Any:
        token = current.set(operation)
        try:
            return await fetch_at_once(self, query, operation=operation, **parameters)
        finally:
            current.reset(token)

    def traced(original: Any) -> Any:
        async def call(self: Any, statement: str, *arguments: Any, **options: Any) -> Any:
            passage = tracer.reach(_point(names, current.get(), statement))
            result = await original(self, statement, *arguments, **options)
            passage.done()
            return result

        return call

    PostgresDatabase._attempt = traced_attempt  # type: ignore[method-assign]  # traced from now on
    PostgresDatabase.fetch_at_once = traced_fetch  # type: ignore[method-assign]  # traced from now on
    for method in ("fetch", "fetchrow", "execute"):
        setattr(asyncpg.Connection, method, traced(getattr(asyncpg.Connection, method)))


def trace_frames(tracer: Tracer, *, asks: Any = None, serves: Any = None) -> None:
    """Trace every frame that this process sends and takes.

    Args:
        asks: the request message of the protocol that it speaks as a client.
        serves: the request message of the protocol that it serves, where its dispatcher does not tell.
    """
    from runtara_sdk.protocol.frame import FrameDecoder
    from runtara_sdk.transport import call_server
    from runtara_sdk.transport import exchange as exchange_module
    from runtara_sdk.transport.local import client as local_client
    from runtara_sdk.transport.quic import client as quic_client
    from runtara_sdk.transport.stream import Stream

    # (what this process sends, what it takes, the verb) of the call that the current task is in
    current: ContextVar[tuple[str, str, str] | None] = ContextVar("call", default=None)
    served: ContextVar[Any] = ContextVar("served", default=serves)
    exchange, send, read_frame = exchange_module.exchange, Stream.send, Stream.read_frame
    respond, read_request = call_server._respond, call_server.read_request

    async def traced_exchange(stream: Any, request: bytes, *others: Any) -> bytes:
        decoder = FrameDecoder()
        decoder.feed(request)
        frame = decoder.next_frame()
        token = current.set(("request", "answer", _verb(asks, frame.payload if frame is not None else b"")))
        try:
            return await exchange(stream, request, *others)
        finally:
            current.reset(token)

    def traced_send(self: Any, data: bytes, *, end: bool = False) -> None:
        call = current.get()
        if call is None:
            send(self, data, end=end)
            return
        passage = tracer.reach(f"frame send {call[0]} {call[2]}")
        send(self, data, end=end)
        _leave(passage, self)

    async def traced_read_frame(self: Any, deadline: float | None = None) -> Any:
        frame = await read_frame(self, deadline)
        call = current.get()
        if call is not None and call[1] == "answer":
            _leave(tracer.reach(f"frame take {call[1]} {call[2]}"), self)
        return frame

    async def traced_read_request(stream: Any, deadline: float | None = None) -> bytes:
        payload = await read_request(stream, deadline)
        verb = _verb(served.get(), payload)
        current.set(("answer", "request", verb))  # of this task, which serves this one call
        _leave(tracer.reach(f"frame take request {verb}"), stream)
        return payload

    async def traced_respond(answer: Any, seconds: float, stream: Any) -> None:
        served.set(_request_type_of(answer))
        await respond(answer, seconds, stream)

    for module in (exchange_module, quic_client, local_client):
        module.exchange = traced_exchange  # type: ignore[attr-defined]  # traced from now on
    Stream.send = traced_send  # type: ignore[method-assign]  # traced from now on
    Stream.read_frame = traced_read_frame  # type: ignore[method-assign]  # traced from now on
    call_server.read_request = traced_read_request
    call_server._respond = traced_respond
    if serves is not None:
        from runtara_environment.wire import handler

        handler.read_request = traced_read_request


def trace_containers(tracer: Tracer) -> None:
    """Trace what this environment does to make, adopt, end and remove containers of its data directory."""
    from runtara_environment.runners.native import NativeRunner
    from runtara_environment.runners.oci import container_process, launch_files, runner
    from runtara_environment.runners.oci.cgroup import LaunchCgroup
    from runtara_environment.runners.oci.runtime import Runtime

    data_dir = os.environ["DATA_DIR"]
    marks = (data_dir, container_process.owner_name(Path(data_dir) / "bundles"))

    def wrap(owner: Any, name: str, what: str) -> None:
        original = getattr(owner, name)

        def passing(arguments: Any) -> Passage | None:
            # A probe makes a container in a directory of its own.
            seen = repr([getattr(each, "_place", each) for each in arguments])
            return tracer.reach(f"container {what}") if any(mark in seen for mark in marks) else None

        async def traced_async(*arguments: Any, **options: Any) -> Any:
            passage = passing(arguments)
            result = await original(*arguments, **options)
            if passage is not None:
                passage.done()
            return result

        def traced(*arguments: Any, **options: Any) -> Any:
            passage = passing(arguments)
            result = original(*arguments, **options)
            if passage is not None:
                passage.done()
            return result

        setattr(owner, name, traced_async if inspect.iscoroutinefunction(original) else traced)

    wrap(runner, "prepare_launch", "prepare")
    wrap(launch_files, "write_bundle", "write bundle")
    for module in (runner, launch_files):
        wrap(module, "remove_foreign", "remove foreign files")
    wrap(launch_files, "admit", "admit the user")
    wrap(runner.OciRunner, "attach", "attach")
    wrap(NativeRunner, "launch", "launch")
    wrap(container_process.ContainerProcess, "_settle", "settle")
    wrap(container_process.ContainerProcess, "stop", "stop")
    wrap(container_process.ContainerPlace, "remove", "remove")
    wrap(container_process, "kill_left_pasta", "kill pasta")
    wrap(Runtime, "delete", "delete")
    for name in ("kill", "remove"):
        wrap(LaunchCgroup, name, f"{name} group")


def _request_type_of(answer: Any) -> Any:
    """The request message of what answers: the method of a dispatcher, of a handler that has one, or a wrapper."""
    while not inspect.ismethod(answer):
        answer = inspect.getclosurevars(answer).nonlocals["respond"]
    server = answer.__self__
    return getattr(server, "dispatcher", server)._request_type


def _leave(passage: Any, stream: Any) -> None:
    """After the point: what was sent, or the acknowledgement of what came, has left the socket."""
    transmit = getattr(stream._connection, "transmit", None)  # a local connection has sent it already
    if passage.is_last and transmit is not None:
        transmit()
    passage.done()


def _verb(message_type: Any, payload: bytes) -> str:
    """`package.call`, with the type of an event or a signal."""
    message = message_type.FromString(payload)
    verb = message.WhichOneof("request") or "nothing"
    call = getattr(message, verb, None)
    for kind in ("event_type", "signal_type"):
        field = None if call is None else call.DESCRIPTOR.fields_by_name.get(kind)
        if field is not None:
            verb += f":{field.enum_type.values_by_number[getattr(call, kind)].name.partition('_')[2].lower()}"
    return f"{message_type.DESCRIPTOR.full_name.split('.')[-2]}.{verb}"
