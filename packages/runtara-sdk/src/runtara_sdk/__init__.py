"""Instance SDK, management SDK, agent API, wire protocol and the `runtara` command of Runtara.

What `__all__` lists is the public interface. Names load when they are first used, so that a program pays only for what
it needs: importing `runtara_sdk` loads neither the transport nor pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtara_sdk.codecs import ResultCodec
    from runtara_sdk.durability import durable, idempotency_key
    from runtara_sdk.errors import (
        CapabilityNotFoundError,
        CheckpointNotFoundError,
        ConcurrencyLimitError,
        ConfigurationError,
        DeadlineExceededError,
        ImageNotFoundError,
        InputRefusedError,
        InstanceCancelled,
        InstanceExistsError,
        InstanceInterrupted,
        InstanceNotFoundError,
        InstancePaused,
        InstanceShutdown,
        InstanceSuperseded,
        InstanceSuspended,
        InvalidInputError,
        InvalidStateError,
        LogsNotFoundError,
        LogsOnOtherHostError,
        PermissionDeniedError,
        ProtocolError,
        RuntaraError,
        ServerError,
        SignalTimeoutError,
        StaleEpochError,
        StorageError,
        TransportError,
        UnauthenticatedError,
    )
    from runtara_sdk.instance import RuntaraSdk, current_sdk
    from runtara_sdk.instance_settings import InstanceSettings
    from runtara_sdk.management import InstanceInfo, ManagementSdk, ManagementSettings
    from runtara_sdk.models import (
        CheckpointResult,
        CustomSignal,
        InstanceStatus,
        Signal,
        SignalType,
        StatusReport,
        TerminationReason,
    )
    from runtara_sdk.retry import RetryPolicy, RetryStrategy

__version__ = "0.1.0"

__all__ = [
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

_HOMES = {
    "codecs": ("ResultCodec",),
    "durability": ("durable", "idempotency_key"),
    "instance": ("RuntaraSdk", "current_sdk"),
    "instance_settings": ("InstanceSettings",),
    "management": ("InstanceInfo", "ManagementSdk", "ManagementSettings"),
    "models": (
        "CheckpointResult",
        "CustomSignal",
        "InstanceStatus",
        "Signal",
        "SignalType",
        "StatusReport",
        "TerminationReason",
    ),
    "retry": ("RetryPolicy", "RetryStrategy"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
