"""The classes of the protocol's messages: made of protobuf's C implementation, and as generated modules make them."""

from __future__ import annotations

import os
import subprocess
import sys

_SHAPES = """
import sys
from runtara_sdk.protocol import environment_pb2, instance_pb2, management_pb2

def shape(message):
    nested = {each.__qualname__: shape(each) for each in vars(message).values() if isinstance(each, type)}
    fields = [(field.name, field.number, field.type, field.json_name) for field in message.DESCRIPTOR.fields]
    return message.__module__, message.__qualname__, message.__mro__[1].__name__, fields, sorted(nested.items())

for module in (environment_pb2, instance_pb2, management_pb2):
    for name in sorted(vars(module)):
        value = getattr(module, name)
        if isinstance(value, type):
            print(name, shape(value))
        elif isinstance(value, int):
            print(name, value)
        elif name[0] != "_" and hasattr(value, "items") and name != "DESCRIPTOR":
            print(name, value.items())
started = environment_pb2.StartInstanceRequest(instance_id="one", env={"NAME": "value"})
print(environment_pb2.StartInstanceRequest.FromString(started.SerializeToString()) == started)
print("text_format", "google.protobuf.text_format" in sys.modules, file=sys.stderr)
"""


def _shapes(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", _SHAPES], env=environment, capture_output=True, text=True, timeout=60, check=True
    )


def test_classes_do_not_depend_on_the_implementation() -> None:
    direct, generated = (_shapes(PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=name).stdout for name in ("upb", "python"))
    assert direct == generated
    assert "CheckpointRequest" in direct
    assert direct.splitlines()[-1] == "True"


def test_a_start_loads_nothing_of_the_implementation_in_python() -> None:
    assert _shapes(PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="upb").stderr == "text_format False\n"


def test_protobuf_knows_the_classes_as_those_of_generated_modules() -> None:
    from google.protobuf import json_format, message_factory, symbol_database
    from runtara_sdk.protocol import instance_pb2

    message = instance_pb2.RegisterInstanceRequest(instance_id="one")
    assert json_format.MessageToDict(message) == {"instanceId": "one"}
    assert message_factory.GetMessageClass(message.DESCRIPTOR) is instance_pb2.RegisterInstanceRequest
    found = symbol_database.Default().pool.FindMessageTypeByName("runtara.instance.RegisterInstanceRequest")
    assert found is message.DESCRIPTOR
