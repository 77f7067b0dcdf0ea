"""The wire format is append-only: `wire_numbers.txt` is the literal table of every number ever given out."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from runtara_sdk.protocol import environment_pb2, instance_pb2, management_pb2

TABLE = Path(__file__).with_name("wire_numbers.txt")
GENERATOR = Path(__file__).parents[3] / "scripts" / "generate-protos"
PROTOCOLS = (instance_pb2.DESCRIPTOR, environment_pb2.DESCRIPTOR, management_pb2.DESCRIPTOR)

TYPES = {
    FieldDescriptor.TYPE_STRING: "str",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_UINT32: "u32",
    FieldDescriptor.TYPE_UINT64: "u64",
    FieldDescriptor.TYPE_INT32: "i32",
    FieldDescriptor.TYPE_INT64: "i64",
    FieldDescriptor.TYPE_DOUBLE: "f64",
}


def describe_field(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        kind = "map"
    elif field.message_type is not None:
        kind = field.message_type.name
    elif field.enum_type is not None:
        kind = field.enum_type.name
    else:
        kind = TYPES[field.type]
    oneof = field.containing_oneof
    if field.is_repeated and kind != "map":
        kind += "*"
    elif oneof is not None and oneof.name == f"_{field.name}":
        kind += "?"
    elif oneof is not None:
        kind = f"{oneof.name}:{kind}"
    return f"{field.number} {field.name} {kind}"


def describe_message(message: Descriptor) -> str:
    fields = sorted(message.fields, key=lambda field: field.number)
    return f"{message.full_name}: {', '.join(map(describe_field, fields))}".rstrip()


def describe(protocol: FileDescriptor) -> list[str]:
    enums = [
        f"{enum.full_name}: {', '.join(f'{value.number} {value.name}' for value in enum.values)}"
        for enum in protocol.enum_types_by_name.values()
    ]
    return enums + [describe_message(message) for message in protocol.message_types_by_name.values()]


def test_numbers_names_and_types_are_those_of_the_table() -> None:
    actual = [line for protocol in PROTOCOLS for line in describe(protocol)]
    assert actual == TABLE.read_text().splitlines()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.package)
def test_every_request_has_an_answer(protocol: FileDescriptor) -> None:
    requests = {field.name for field in protocol.message_types_by_name["RpcRequest"].oneofs_by_name["request"].fields}
    answers = {field.name for field in protocol.message_types_by_name["RpcResponse"].oneofs_by_name["response"].fields}
    streamed = {"register_image_stream", "start_instance_stream", "create_instance_stream"}
    assert requests - streamed == answers - {"error"}


@pytest.mark.parametrize("module", [instance_pb2, environment_pb2, management_pb2], ids=lambda module: module.__name__)
def test_errors_answer_on_the_same_tag_everywhere(module: object) -> None:
    # The module is generated.
    response = module.RpcResponse(error={"code": "SOME_CODE", "message": "text"})  # type: ignore[attr-defined]
    assert response.SerializeToString()[0] == 15 << 3 | 2
    assert not response.error.HasField("retryable")


def test_an_original_client_is_understood() -> None:
    # RpcRequest{8: CheckpointRequest{1: "i", 2: "c", 3: "s"}}, byte for byte.
    request = instance_pb2.RpcRequest.FromString(b"\x42\x09\x0a\x01i\x12\x01c\x1a\x01s")
    assert request.WhichOneof("request") == "checkpoint"
    assert (request.checkpoint.instance_id, request.checkpoint.state) == ("i", b"s")
    assert not request.HasField("epoch")


@pytest.mark.skipif(importlib.util.find_spec("grpc_tools") is None, reason="grpcio-tools is not installed")
def test_the_generated_modules_are_up_to_date() -> None:
    check = subprocess.run([sys.executable, str(GENERATOR), "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr
