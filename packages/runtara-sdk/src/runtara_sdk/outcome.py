"""How the end of a program is told: outputs as JSON, exceptions as texts, and what kind of end an exception is."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from runtara_sdk.errors import InstanceInterrupted, InvalidInputError, RuntaraError
from runtara_sdk.written_decimal import dump_json

MAX_ERROR_CHARACTERS = 64 * 1024
"""Longer error texts are cut. What stores them keeps no more either."""


def encode_json(value: Any, what: str) -> bytes:
    """`value` as compact JSON; bytes are JSON already. Raises `InvalidInputError` that begins with `what`."""
    if isinstance(value, bytes):
        return value
    try:
        return dump_json(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} is not JSON: {error}") from error


def describe_error(error: BaseException) -> str:
    """The text stored for an exception: the message of a `RuntaraError`, else type and message; at most 64 Ki long."""
    if isinstance(error, RuntaraError):
        return storable_error(error.message)
    text = str(error)
    return storable_error(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def storable_error(text: str) -> str:
    """An error text that every call can carry: bounded, and without what UTF-8 lacks, such as halves of file names."""
    return text[:MAX_ERROR_CHARACTERS].encode(errors="replace").decode()


def find_interruption(error: BaseException | None) -> InstanceInterrupted | None:
    """`error` when it is an interruption, or the first one in a group as task groups raise it."""
    if isinstance(error, InstanceInterrupted):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if (found := find_interruption(inner)) is not None:
                return found
    return None


def was_caused_by(error: BaseException | None, causes: Container[BaseException]) -> bool:
    """Whether `error`, or one that it was raised from or while handling, is among `causes`."""
    while error is not None:
        if error in causes:
            return True
        error = error.__cause__ or error.__context__
    return False
