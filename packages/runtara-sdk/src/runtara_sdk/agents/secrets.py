"""The secrets of one call, and taking them out of whatever is shown or kept."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from runtara_sdk.redaction import REPLACEMENT

_SHORTEST = 4
"""Shorter values stand in too many texts that have nothing to do with them."""

_MOST = 1000
_DEEPEST = 20


class Secrets:
    """Values that must not be seen.

    Those of the call's connection are known from the beginning. A capability adds what it makes of them: a token that
    it fetched, a header with both parts of a credential.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: tuple[str, ...] = ()
        for value in values:
            self.add(value)

    @classmethod
    def of_connection(cls, connection: Any, secret_fields: Iterable[str] = ()) -> Secrets:
        """The secrets among the parameters of a `_connection`: fields that are declared so or whose name says so."""
        if not isinstance(connection, Mapping):
            return cls()
        return cls(_secret_texts(connection.get("parameters"), frozenset(secret_fields)))

    def add(self, value: str) -> None:
        """Keep a value secret from now on."""
        if len(value) < _SHORTEST or value in self._values or len(self._values) >= _MOST:
            return
        if self is not _OF_THE_PROCESS:
            _OF_THE_PROCESS.add(value)
        forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        # The longest first: one may be a part of another.
        self._values = tuple(sorted({*self._values, *forms}, key=len, reverse=True))

    def __bool__(self) -> bool:
        return bool(self._values)

    def redact(self, text: str) -> str:
        """The text without any of the values."""
        for value in self._values:
            if value in text:
                text = text.replace(value, REPLACEMENT)
        return text

    def redact_json(self, value: Any) -> Any:
        """A JSON value in whose texts none of the values stands; the same object where there is nothing to do."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.redact(key): self.redact_json(item) for key, item in value.items()}
        return [self.redact_json(item) for item in value] if isinstance(value, list) else value

    def found_in(self, text: str) -> bool:
        """Whether any of the values stands in a text."""
        return any(value in text for value in self._values)


_OF_THE_PROCESS = Secrets()
"""All that calls of this process kept secret: what a program writes to its log is its own, whichever call it is of."""


class SecretFilter(logging.Filter):
    """Takes the secrets of all calls out of log lines and the tracebacks that belong to them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _OF_THE_PROCESS:
            record.msg, record.args = _OF_THE_PROCESS.redact(record.getMessage()), None
            if record.exc_info:
                record.exc_text = _OF_THE_PROCESS.redact(logging.Formatter().formatException(record.exc_info))
        return True


def keep_secrets_out_of_standard_error() -> None:
    """For main programs: what they log, and the traceback that they may end with, shows no secret of a call."""
    handlers = [*logging.getLogger().handlers, *([logging.lastResort] if logging.lastResort is not None else [])]
    for handler in handlers:
        handler.addFilter(SecretFilter())
    sys.excepthook = _print_without_secrets


def _print_without_secrets(kind: type[BaseException], error: BaseException, traceback_: TracebackType | None) -> None:
    lines = traceback.format_exception(kind, error, traceback_)
    print(_OF_THE_PROCESS.redact("".join(lines)), end="", file=sys.stderr)  # noqa: T201 - as the hook it stands for


def _secret_texts(value: Any, declared: frozenset[str], *, named: bool = False, depth: int = 0) -> Iterable[str]:
    from runtara_sdk.workflow.redaction import names_secret  # what only workflows with connections need

    if depth > _DEEPEST:
        return
    if isinstance(value, str) and named:
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            secret = named or key in declared or names_secret(str(key))
            yield from _secret_texts(item, declared, named=secret, depth=depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_texts(item, declared, named=named, depth=depth + 1)
