"""Errors and interruptions.

Errors derive from `RuntaraError`, carry a stable `code` and say whether a retry may help. Interruptions derive from
`BaseException`: they are control flow, so that no `except Exception`, retry loop or error handler can swallow them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

VIOLATIONS_IN_MESSAGE = 10
"""So many of the violations of a schema are in the message of an error; it says how many more there are."""


class RuntaraError(Exception):
    """Base of all errors raised by Runtara.

    Attributes:
        code: stable, upper snake case.
        retryable: whether the same call may succeed later.
    """

    code = "RUNTARA_ERROR"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable


class ConfigurationError(RuntaraError):
    """A setting is missing or unusable; the message names it and the remedy."""

    code = "CONFIGURATION_ERROR"


class AddressInUseError(RuntaraError):
    """Another program listens on the address of a server; it may have ended a moment later."""

    code = "ADDRESS_IN_USE"
    retryable = True


class InvalidInputError(RuntaraError):
    """Data from a caller is not acceptable; the message names the thing, the place and the remedy."""

    code = "VALIDATION_ERROR"


class InputRefusedError(InvalidInputError):
    """An input does not fit the schema of the scenario that was to be started with it.

    Attributes:
        violations: what does not fit, each `{path, message}`, in the order of the schema; at most 100.
        violation_count: how many there are.
    """

    def __init__(self, message: str, violations: Iterable[Mapping[str, str]], violation_count: int) -> None:
        super().__init__(message)
        self.violations = tuple(dict(each) for each in violations)
        self.violation_count = violation_count


class ProtocolError(RuntaraError):
    """A peer sent bytes that are not this protocol."""

    code = "PROTOCOL_ERROR"


class TransportError(RuntaraError):
    """The peer cannot be reached, or the connection was lost before the answer came."""

    code = "CONNECTION_ERROR"
    retryable = True


class DeadlineExceededError(RuntaraError):
    """A call did not finish in its time; its effect is unknown."""

    code = "TIMEOUT"
    retryable = True


class ServerError(RuntaraError):
    """The server answered with an error of its own."""

    code = "SERVER_ERROR"


class InstanceNotFoundError(ServerError):
    """There is no such instance for this tenant."""

    code = "INSTANCE_NOT_FOUND"


class ImageNotFoundError(ServerError):
    """There is no such image for this tenant."""

    code = "IMAGE_NOT_FOUND"


class InstanceExistsError(ServerError):
    """The instance id is taken by a different start."""

    code = "INSTANCE_ALREADY_EXISTS"


class InvalidStateError(ServerError):
    """The instance is not in a state that allows this call."""

    code = "INVALID_INSTANCE_STATE"


class StaleEpochError(ServerError):
    """A newer launch owns the instance; this process must stop at once."""

    code = "STALE_EPOCH"


class UnauthenticatedError(ServerError):
    """The call carries no valid token or key; the message says which is needed."""

    code = "UNAUTHENTICATED"


class PermissionDeniedError(ServerError):
    """The token or key is valid, but not for this call."""

    code = "PERMISSION_DENIED"


class ConcurrencyLimitError(ServerError):
    """As many instances run as the core allows; try again later."""

    code = "CONCURRENCY_LIMIT"
    retryable = True


class CheckpointNotFoundError(ServerError):
    """There is no such checkpoint."""

    code = "CHECKPOINT_NOT_FOUND"


class AnswerTooLargeError(ServerError):
    """The answer is larger than one message may be; ask for less at once."""

    code = "ANSWER_TOO_LARGE"


class LogsNotFoundError(ServerError):
    """The output of a launch is not there: there was none, it is kept no more, or not on this host."""

    code = "LOGS_NOT_FOUND"


class LogsOnOtherHostError(LogsNotFoundError):
    """The output of a launch is on another host, whose environment has to be asked.

    Attributes:
        host_id: id of that host; None when it is only known from the message.
    """

    code = "LOGS_ON_OTHER_HOST"

    def __init__(
        self, message: str, *, host_id: str | None = None, code: str | None = None, retryable: bool | None = None
    ) -> None:
        super().__init__(message, code=code, retryable=retryable)
        self.host_id = host_id


class CapabilityNotFoundError(ServerError):
    """There is no such agent or capability."""

    code = "CAPABILITY_NOT_FOUND"


class SignalTimeoutError(RuntaraError):
    """A custom signal did not come in time; that is recorded, so a later signal changes nothing."""

    code = "SIGNAL_TIMEOUT"


class StorageError(ServerError):
    """The database failed; the message names the operation, never the database's internals."""

    code = "DATABASE_ERROR"
    retryable = True


_BY_CODE: dict[str, type[RuntaraError]] = {
    cls.code: cls
    for cls in (
        InvalidInputError,
        ProtocolError,
        DeadlineExceededError,
        InstanceNotFoundError,
        ImageNotFoundError,
        InstanceExistsError,
        InvalidStateError,
        StaleEpochError,
        UnauthenticatedError,
        PermissionDeniedError,
        ConcurrencyLimitError,
        CheckpointNotFoundError,
        AnswerTooLargeError,
        CapabilityNotFoundError,
        LogsNotFoundError,
        LogsOnOtherHostError,
        StorageError,
    )
}


def error_from_code(code: str, message: str, *, retryable: bool | None = None) -> RuntaraError:
    """Rebuild the typed error that a server named by its code; an unknown code gives a `ServerError`."""
    return _BY_CODE.get(code, ServerError)(message, code=code, retryable=retryable)


class InstanceInterrupted(BaseException):
    """Base of the reasons for which a running workflow winds down without having failed."""


class InstanceCancelled(InstanceInterrupted):
    """A cancel signal reached the instance."""


class InstancePaused(InstanceInterrupted):
    """A pause signal reached the instance."""


class InstanceShutdown(InstanceInterrupted):
    """A shutdown signal reached the instance: this process ends, and the next launch goes on at once."""


class InstanceSuspended(InstanceInterrupted):
    """The instance sleeps beyond the threshold: the process ends, and the wake queue starts it again."""


class InstanceSuperseded(InstanceInterrupted):
    """A newer launch owns the instance: the process ends without reporting anything."""
