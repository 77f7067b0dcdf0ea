"""Secrets of connections: they stand nowhere but in the connection."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from runtara_sdk.agents import AgentError, Capability, ConnectionType, Example
from runtara_sdk.agents.inputs import decode_inputs
from runtara_sdk.testing.agent_checks.calls import SECRET, AgentCalls
from runtara_sdk.testing.agent_checks.findings import findings

_CONNECTION = "_connection"
_SHORTEST = 4
_PART = 12


class AgentRedactionCases(AgentCalls):
    """What every agent owes those who trust it with a connection."""

    def test_secrets_of_a_connection_are_taken_out_of_errors(self) -> None:
        """No error of a call with a connection shows what is secret in it."""
        with findings() as found:
            for capability, inputs, example in self._connected():
                error = self._attempt(capability.id, inputs, example=example).error
                if error is not None and _shows(json.dumps(error.to_json()), self._secrets(inputs)):
                    found.add(
                        f"{capability.id}: {error.code} shows a secret, or a part of one: name what is wrong without "
                        "it, and pass derived values to context.secrets.add()"
                    )

    def test_secrets_of_a_connection_are_taken_out_of_results(self) -> None:
        """No result shows a secret, or something that it can be read from."""
        with findings() as found:
            for capability, inputs, example in self._connected():
                outcome = self._attempt(capability.id, inputs, example=example)
                found.require(
                    outcome.failure is not None or not _shows(json.dumps(outcome.value), self._secrets(inputs)),
                    f"{capability.id}: its result shows a secret, or a part of one: leave it out, or pass derived "
                    "values to context.secrets.add()",
                )

    def test_secrets_of_a_connection_are_not_logged(self) -> None:
        """Neither log records, on any level, nor what is printed show a secret."""
        with findings() as found:
            for capability, inputs, example in self._connected():
                with _written() as written:
                    self._attempt(capability.id, inputs, example=example)
                for where, text in written.items():
                    found.require(
                        not _shows(text.getvalue(), self._secrets(inputs)),
                        f"{capability.id}: {where} shows a secret, or a part of one: leave it out",
                    )

    def test_inputs_do_not_represent_secrets(self) -> None:
        """The `repr` of the inputs, which tracebacks and debuggers show, hides what is secret in a connection."""
        with findings() as found:
            for capability, inputs, _ in self._connected():
                others = {name: value for name, value in inputs.items() if name != _CONNECTION}
                if _shows(json.dumps(others), self._secrets(inputs)):
                    continue  # what stands in another input, too, is not hidden there
                try:
                    decoded = decode_inputs(capability.id, capability, inputs)
                except AgentError:
                    continue
                found.require(
                    not _shows(repr(decoded), self._secrets(inputs)),
                    f"{capability.id}: repr() of its inputs shows a secret of the connection: declare it as "
                    "RawConnection, or with Field(repr=False)",
                )

    def _connected(self) -> Iterator[tuple[Capability, Mapping[str, Any], Example | None]]:
        """Calls with connections that lead nowhere, of the examples too, and those that are provided."""
        for capability in self.agent.capabilities:
            for declared in self.agent.connection_types:
                connection = _connection(declared)
                for inputs in ({}, {"url": f"http://{SECRET}", "path": SECRET}):
                    yield capability, {**inputs, _CONNECTION: connection}, None
        for capability, example, call in self._calls():
            if call.inputs.get(_CONNECTION) is not None:
                yield capability, call.inputs, example
            elif not example.needs and capability.input_field(_CONNECTION) is not None:
                for declared in self.agent.connection_types:
                    yield capability, {**call.inputs, _CONNECTION: _connection(declared)}, example

    def _secrets(self, inputs: Mapping[str, Any]) -> frozenset[str]:
        """Texts that must not be seen: secrets, their longer parts and what base64 makes of them."""
        parameters = inputs[_CONNECTION]["parameters"]
        names = {field.name for each in self.agent.connection_types for field in each.fields if field.secret}
        values = {str(parameters[name]) for name in names if name in parameters}
        return frozenset(part for value in values if len(value) >= _SHORTEST for part in _parts(value))


def _connection(declared: ConnectionType) -> dict[str, Any]:
    parameters: dict[str, Any] = {field.name: field.placeholder or "x" for field in declared.fields}
    parameters |= {field.name: SECRET for field in declared.fields if field.secret}
    return {"integration_id": declared.integration_id, "parameters": parameters}


def _parts(secret: str) -> set[str]:
    if len(secret) < _PART:
        return {secret}
    return {secret, secret[:_PART], secret[-_PART:], base64.b64encode(secret.encode()).decode()[4:16]}


def _shows(text: str, secrets: frozenset[str]) -> bool:
    return any(part in text for part in secrets)


@contextmanager
def _written() -> Iterator[dict[str, io.StringIO]]:
    """What is logged, on all levels, and printed meanwhile."""
    written = {"a log record": io.StringIO(), "standard output": io.StringIO(), "standard error": io.StringIO()}
    logged, printed, complained = written.values()
    root, handler = logging.getLogger(), logging.StreamHandler(logged)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(printed), redirect_stderr(complained):
            yield written
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
