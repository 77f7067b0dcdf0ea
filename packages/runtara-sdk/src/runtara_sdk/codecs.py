"""How the result of a durable call is written and read: JSON, bytes, pydantic models, or a codec of one's own."""

from __future__ import annotations

import json
from typing import Any, Protocol, runtime_checkable

from runtara_sdk.errors import ConfigurationError, InvalidInputError, ProtocolError, RuntaraError
from runtara_sdk.outcome import encode_json
from runtara_sdk.written_decimal import read_decimal


@runtime_checkable
class ResultCodec(Protocol):
    """Turns results to bytes and back. `decode(encode(result))` is what the caller gets, in the first run too."""

    @property
    def name(self) -> str:
        """Named in errors."""

    def encode(self, result: Any) -> bytes:
        """The bytes to store; raises an `Exception` when the result has none."""

    def decode(self, stored: bytes) -> Any:
        """The result; raises an `Exception` when these bytes are none."""


class JsonCodec:
    """Any JSON value. Tuples come back as lists, keys of objects as text."""

    name = "JSON"

    def encode(self, result: Any) -> bytes:
        if isinstance(result, bytes | bytearray | memoryview):
            raise InvalidInputError("bytes are not JSON: give codec=bytes")
        return encode_json(result, "it")

    def decode(self, stored: bytes) -> Any:
        return json.loads(stored, parse_float=read_decimal)


class BytesCodec:
    """Bytes as they are."""

    name = "bytes"

    def encode(self, result: Any) -> bytes:
        if not isinstance(result, bytes | bytearray | memoryview):
            raise InvalidInputError(f"it is a {type(result).__name__}: return bytes, or leave codec out for JSON")
        return bytes(result)

    def decode(self, stored: bytes) -> Any:
        return stored


class ModelCodec:
    """Instances of a pydantic model, or of any type that pydantic can validate (`list[Order]`); stored as JSON."""

    def __init__(self, model: Any) -> None:
        from pydantic import TypeAdapter  # only programs that use models load it

        self.name = f"pydantic {getattr(model, '__name__', model)}"
        self._adapter: TypeAdapter[Any] = TypeAdapter(model)

    def encode(self, result: Any) -> bytes:
        return self._adapter.dump_json(self._adapter.validate_python(result), by_alias=True)

    def decode(self, stored: bytes) -> Any:
        return self._adapter.validate_json(stored, by_alias=True, by_name=True)


JSON = JsonCodec()


def codec_for(choice: Any) -> ResultCodec:
    """The codec that a program chose: None (JSON), `bytes`, a type for pydantic, or a codec itself.

    Raises `ConfigurationError` when it is none of them.
    """
    if choice is None:
        return JSON
    if choice is bytes:
        return BytesCodec()
    if not isinstance(choice, type) and isinstance(choice, ResultCodec):
        return choice
    try:
        return ModelCodec(choice)
    except Exception as error:  # pydantic has several for what it cannot validate
        raise ConfigurationError(
            f"codec={choice!r} is no codec: give bytes, a pydantic model or an object with name, encode and decode"
        ) from error


def encode_result(codec: ResultCodec, key: str, result: Any) -> tuple[bytes, Any]:
    """The bytes to store under `key`, and the result as every run reads it from them.

    Raises `InvalidInputError` naming key and codec, also when the bytes cannot be read again: a not-a-number in a
    pydantic model, say, is written as null. Stored, they would fail every later run.
    """
    try:
        encoded = codec.encode(result)
        return encoded, codec.decode(encoded)
    except Exception as error:
        raise InvalidInputError(
            f"the result of {key!r} cannot be stored by codec {codec.name}: {_reason(error)}"
        ) from error


def decode_result(codec: ResultCodec, key: str, stored: bytes) -> Any:
    """The result stored under `key`; raises `ProtocolError` naming key and codec. The work is not done again for it."""
    try:
        return codec.decode(stored)
    except Exception as error:
        raise ProtocolError(
            f"checkpoint {key!r} holds no result that codec {codec.name} can read: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    text = error.message if isinstance(error, RuntaraError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
