"""Message classes from the description of a `.proto` file, without what only other programs need.

The modules that `protoc` generates import the implementation of protobuf in Python and its text format, although the
one in C does the work: more than half of what the messages cost at the start of a process. Where the C implementation
is there, classes are made of it directly; elsewhere as generated modules make them. Both put the file into protobuf's
own pool, so that a description is known to whoever asks protobuf for it.
"""

from __future__ import annotations

import os
from typing import Any


def add_messages(description: bytes, namespace: dict[str, Any]) -> None:
    """Put what generated modules have into the namespace of one: `DESCRIPTOR`, classes, enums and their values.

    Args:
        description: the `FileDescriptorProto` of the file, serialized.
        namespace: the module's `globals()`.
    """
    # Protobuf's own switch between its implementations.
    chosen = os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "upb")
    if chosen != "upb" or not _add_to_upb(description, namespace):
        _add_as_generated(description, namespace)


def _add_to_upb(description: bytes, namespace: dict[str, Any]) -> bool:
    """Whether the C implementation is there, and has made the classes."""
    try:
        from google._upb import _message
        from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
        from google.protobuf.message import Message

        pool: Any = _message.default_pool
        metaclass: Any = _message.MessageMeta
    except (ImportError, AttributeError):
        return False
    file = pool.AddSerializedFile(description)
    if file.extensions_by_name or file.services_by_name:
        return False  # the protocol has none
    for name, enum in file.enum_types_by_name.items():
        namespace[name] = EnumTypeWrapper(enum)
        namespace.update((value.name, value.number) for value in enum.values)
    for name, message in file.message_types_by_name.items():
        namespace[name] = _message_class(metaclass, Message, message, namespace["__name__"])
    namespace["DESCRIPTOR"] = file
    return True


def _message_class(metaclass: Any, base: type, description: Any, module: str, outer: str = "") -> Any:
    qualified_name = outer + description.name
    attributes = {
        name: _message_class(metaclass, base, nested, module, f"{qualified_name}.")
        for name, nested in description.nested_types_by_name.items()
    }
    attributes.update(DESCRIPTOR=description, __module__=module, __qualname__=qualified_name)
    return metaclass(description.name, (base,), attributes)


def _add_as_generated(description: bytes, namespace: dict[str, Any]) -> None:
    from google.protobuf import descriptor_pool
    from google.protobuf.internal import builder

    file = descriptor_pool.Default().AddSerializedFile(description)
    namespace["DESCRIPTOR"] = file
    builder.BuildTopDescriptorsAndMessages(file, namespace["__name__"], namespace)
