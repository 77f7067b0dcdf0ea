"""What a user of the SDK sees: exactly these names, and for each method what to do with it."""

import ast
import inspect
import textwrap
from collections.abc import Iterator

import pytest
import runtara_sdk
from runtara_sdk import InstanceSettings, ManagementSdk, RuntaraSdk

METHODS = [
    "acknowledge_signal",
    "check_cancelled",
    "check_paused",
    "check_signals",
    "checkpoint",
    "checkpoints",
    "close",
    "completed",
    "connect",
    "custom_event",
    "durable_sleep",
    "embedded",
    "failed",
    "from_env",
    "get_checkpoint",
    "get_instance_status",
    "get_status",
    "heartbeat",
    "instance_id",
    "is_connected",
    "is_registered",
    "localhost",
    "poll_custom_signal",
    "poll_signal",
    "poll_signal_now",
    "record_retry_attempt",
    "register",
    "run_interruptible",
    "sleep_until",
    "step",
    "suspended",
    "tenant_id",
    "wait_for_signal",
]
ATTRIBUTES = ["interruption", "settings"]
EXPORTED = [
    "CapabilityNotFoundError",
    "CheckpointNotFoundError",
    "CheckpointResult",
    "ConcurrencyLimitError",
    "ConfigurationError",
    "CustomSignal",
    "DeadlineExceededError",
    "ImageNotFoundError",
    "InputRefusedError",
    "InstanceCancelled",
    "InstanceExistsError",
    "InstanceInfo",
    "InstanceInterrupted",
    "InstanceNotFoundError",
    "InstancePaused",
    "InstanceSettings",
    "InstanceShutdown",
    "InstanceStatus",
    "InstanceSuperseded",
    "InstanceSuspended",
    "InvalidInputError",
    "InvalidStateError",
    "LogsNotFoundError",
    "LogsOnOtherHostError",
    "ManagementSdk",
    "ManagementSettings",
    "PermissionDeniedError",
    "ProtocolError",
    "ResultCodec",
    "RetryPolicy",
    "RetryStrategy",
    "RuntaraError",
    "RuntaraSdk",
    "ServerError",
    "Signal",
    "SignalTimeoutError",
    "SignalType",
    "StaleEpochError",
    "StatusReport",
    "StorageError",
    "TerminationReason",
    "TransportError",
    "UnauthenticatedError",
    "current_sdk",
    "durable",
    "idempotency_key",
]


def test_the_names_of_an_instance() -> None:
    sdk = RuntaraSdk(InstanceSettings("one", "acme"))
    assert [name for name in dir(sdk) if not name.startswith("_")] == sorted([*METHODS, *ATTRIBUTES])


def test_the_names_of_the_package() -> None:
    assert sorted(runtara_sdk.__all__) == sorted(EXPORTED)


def examples(documentation: str) -> Iterator[str]:
    parts = documentation.split("Example::\n")[1:]
    return (textwrap.dedent(part).strip() for part in parts)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        *((RuntaraSdk, name) for name in METHODS),
        *((ManagementSdk, name) for name in ("retry_instance", "retry_instances", "fork_instance")),
    ],
)
def test_each_method_has_an_example_that_is_python(cls: type, name: str) -> None:
    member = inspect.getattr_static(cls, name)
    function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    (example,) = examples(inspect.getdoc(function) or "")
    tree = ast.parse(f"async def example():\n{textwrap.indent(example, '    ')}")
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert name in used, f"the example of {name} does not use it"
