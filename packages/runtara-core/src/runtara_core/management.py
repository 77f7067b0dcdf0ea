"""What an environment asks of core, in process or over the management port.

`runtara_core.management_service.ManagementService` implements it on a storage; `runtara_core.management_client` speaks
the `runtara.management` protocol to a daemon. Both raise the same typed errors of `runtara_sdk.errors`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from runtara_sdk.models import CustomSignal, InstanceStatus, SignalType

from runtara_core.models import (
    CheckpointFilter,
    CheckpointPage,
    CheckpointRecord,
    CreatedInstance,
    EventFilter,
    EventPage,
    ExitDecision,
    ExitReport,
    ForkedInstance,
    HealthReport,
    InputPart,
    Instance,
    InstanceFilter,
    InstanceFork,
    InstancePage,
    LastContact,
    LaunchClaim,
    LeaseKey,
    NewInstance,
    PendingCancel,
    RetriedInstance,
)
from runtara_core.steps import ScopeInfo, StepFilter, StepPage
from runtara_core.tenant_metrics import MetricsBucket, MetricsRange

MAX_IMAGES_WITHOUT = 1_000
"""Most images that a claim may leave to others."""


class CoreManagement(ABC):
    """Core's management verbs. Semantics and errors are those of `runtara_core.storage.Storage`."""

    @abstractmethod
    async def health_check(self) -> HealthReport:
        """Whether core and its database answer."""

    @abstractmethod
    async def create_instance(self, new: NewInstance) -> CreatedInstance:
        """Create a pending instance that is due for launch."""

    @abstractmethod
    async def get_instance(self, instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        """One instance, or None."""

    @abstractmethod
    async def read_input(self, instance_id: str, *, offset: int, limit_bytes: int) -> InputPart | None:
        """A part of the input of an instance, at most 4 MiB; None when the instance is unknown."""

    @abstractmethod
    async def list_instances(self, where: InstanceFilter) -> InstancePage:
        """A page of instances."""

    @abstractmethod
    async def send_signal(self, instance_id: str, signal_type: SignalType, payload: bytes = b"") -> InstanceStatus:
        """Cancel, pause or resume; returns the status after it."""

    @abstractmethod
    async def send_custom_signal(self, instance_id: str, signal: CustomSignal) -> None:
        """Leave a payload for a checkpoint id."""

    @abstractmethod
    async def claim_launches(
        self,
        owner: str,
        *,
        limit: int,
        lease_ms: int,
        wait_ms: int = 0,
        instance_id: str | None = None,
        without_images: Sequence[str] = (),
    ) -> list[LaunchClaim]:
        """Claim due launches; with `wait_ms` (at most 30 000) waits that long for the first to become due.

        Those of `without_images` (at most `MAX_IMAGES_WITHOUT`), which the owner cannot launch, are left to others.
        """

    @abstractmethod
    async def renew_leases(self, owner: str, keys: Sequence[LeaseKey], *, lease_ms: int) -> list[LeaseKey]:
        """Extend leases; returns the launches that this owner has lost."""

    @abstractmethod
    async def pending_cancels(self, owner: str, *, limit: int = 100) -> list[PendingCancel]:
        """Cancels that the launches of this owner have not obeyed yet, longest waiting first."""

    @abstractmethod
    async def last_contacts(self, owner: str, *, after_instance_id: str = "", limit: int = 100) -> list[LastContact]:
        """When the launches of this owner were heard of last, in the order of instance ids."""

    @abstractmethod
    async def expire_leases(self, owner: str) -> int:
        """Make the launches that a dead owner still holds due at once; returns how many.

        It can claim nothing from then on: `claim_launches` raises `InvalidStateError` for it.
        """

    @abstractmethod
    async def report_exit(self, key: LeaseKey, report: ExitReport) -> ExitDecision:
        """Say that a launched process has ended."""

    @abstractmethod
    async def report_launch_failure(
        self, key: LeaseKey, error: str, *, permanent: bool, is_due: bool = False
    ) -> ExitDecision:
        """Say that a claimed launch could not be started.

        Not `permanent`: it is tried again after a while, or, when it `is_due`, at once by another owner.
        """

    @abstractmethod
    async def list_checkpoints(self, instance_id: str, where: CheckpointFilter) -> CheckpointPage:
        """Checkpoints, newest first."""

    @abstractmethod
    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointRecord | None:
        """One checkpoint with its state."""

    @abstractmethod
    async def list_events(self, instance_id: str, where: EventFilter) -> EventPage:
        """A page of events."""

    @abstractmethod
    async def list_step_summaries(self, instance_id: str, where: StepFilter) -> StepPage:
        """A page of the steps that a program in debug mode has traced."""

    @abstractmethod
    async def get_scope_ancestors(self, instance_id: str, scope_id: str) -> list[ScopeInfo]:
        """A scope and those around it, the innermost first."""

    @abstractmethod
    async def get_tenant_metrics(self, where: MetricsRange) -> tuple[MetricsBucket, ...]:
        """What of a tenant has ended in each hour or day."""

    @abstractmethod
    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None) -> RetriedInstance:
        """Let a failed or cancelled instance go on where it ended."""

    @abstractmethod
    async def fork_instance(self, fork: InstanceFork) -> ForkedInstance:
        """Create an instance that begins with what another one has recorded before a step, or say what it would get."""
