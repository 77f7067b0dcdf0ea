"""What a trial and a program in a process of its own say to each other: pickled tuples with their length before them.

    program                                   trial
    ("hello", process id)              ->
    ("ask", number, name, arguments)   ->
    ("give up", number)                ->
                                       <-     ("answer", number, value)
                                       <-     ("refusal", number, error)
    ("idle", messages received)        ->
    ("crashed", text)                  ->

Both are the same installation, and the trial has started the program itself, so that pickles are safe here.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import Any

_LENGTH = struct.Struct("!I")

PackedError = tuple[type[BaseException], tuple[Any, ...], dict[str, Any]]


def pack(message: tuple[Any, ...]) -> bytes:
    """A message as it is sent."""
    content = pickle.dumps(message)
    return _LENGTH.pack(len(content)) + content


async def receive(reader: asyncio.StreamReader) -> tuple[Any, ...] | None:
    """The next message; None when the other side is gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        message: tuple[Any, ...] = pickle.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return message


def pack_error(error: BaseException) -> PackedError:
    """An exception, whatever its constructor wants."""
    return type(error), error.args, dict(vars(error))


def unpack_error(packed: PackedError) -> BaseException:
    """The exception again."""
    kind, arguments, attributes = packed
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    vars(error).update(attributes)
    return error
