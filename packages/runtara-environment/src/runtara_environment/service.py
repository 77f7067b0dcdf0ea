"""The environment's verbs: images, starts, signals, queries. What the protocol handlers and the local mode call."""

from __future__ import annotations

import codecs
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from runtara_core.management import CoreManagement
from runtara_core.models import (
    MAX_INPUT_PART_BYTES,
    CheckpointFilter,
    CheckpointPage,
    CheckpointRecord,
    EventFilter,
    EventPage,
    HealthReport,
    InputPart,
    Instance,
    InstanceFilter,
    InstancePage,
    NewInstance,
)
from runtara_core.steps import ScopeInfo, StepFilter, StepPage
from runtara_core.tenant_metrics import MetricsBucket, MetricsGranularity, MetricsRange
from runtara_sdk.clock import Clock
from runtara_sdk.errors import (
    InputRefusedError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
)
from runtara_sdk.identifiers import validate_identifier
from runtara_sdk.models import CustomSignal, InstanceStatus, SignalType
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits

import runtara_environment
from runtara_environment.fetching.exchange import ArtifactExchange
from runtara_environment.hosts.host_service import HostService
from runtara_environment.hosts.remote_stop import RemoteStop
from runtara_environment.inputs import InputJudge
from runtara_environment.launch_options import LaunchOptions, require_acceptable_variables
from runtara_environment.launch_rules import LaunchRules
from runtara_environment.logs import InstanceLogs
from runtara_environment.registry import Image, ImageRegistry
from runtara_environment.restarts import Restarts
from runtara_environment.settings import DEFAULT_MAX_INPUT_BYTES
from runtara_environment.supervision.supervisor import Supervisor
from runtara_environment.supervision.workspaces import Workspaces

_MAX_GRACE_SECONDS = 600
_DAY_MS = 86_400_000
_COMPARED_BY_VALUE_BYTES = 64 * 1024
_UNFINISHED = tuple(status for status in InstanceStatus if not status.is_terminal)


@dataclass(frozen=True, slots=True)
class EarlierStart:
    """What a start that is repeated had begun.

    Attributes:
        image_id: the image that the instance is of.
        status: of the instance, when it was looked up.
        other_version: it runs another version of the image than the one that the image has now.
        other_input: it was started with another input than the one given now. Up to 64 KiB they are compared as JSON
            values, longer ones as they are written.
    """

    image_id: str
    status: InstanceStatus
    other_version: bool
    other_input: bool


@dataclass(frozen=True, slots=True)
class StartedInstance:
    """The answer to a start; `earlier` is there when the same start had been accepted before."""

    instance_id: str
    earlier: EarlierStart | None = None

    @property
    def deduplicated(self) -> bool:
        """Whether nothing was started."""
        return self.earlier is not None


@dataclass(frozen=True, slots=True)
class TenantMetrics:
    """The range that was counted, and every bucket of it."""

    where: MetricsRange
    buckets: tuple[MetricsBucket, ...]


class EnvironmentService:
    """Serves products, whichever way their calls come in."""

    def __init__(
        self,
        core: CoreManagement,
        registry: ImageRegistry,
        supervisor: Supervisor,
        clock: Clock,
        workspaces: Workspaces,
        rules: LaunchRules,
        hosts: HostService,
        remote_stop: RemoteStop,
        exchange: ArtifactExchange,
        logs: InstanceLogs,
        judge: InputJudge,
        *,
        max_input_bytes: int = DEFAULT_MAX_INPUT_BYTES,
    ) -> None:
        self._rules = rules
        self._core = core
        self._registry = registry
        self._supervisor = supervisor
        self._clock = clock
        self._restarts = Restarts(core, registry, workspaces, judge)
        self._hosts = hosts
        self._remote_stop = remote_stop
        self._exchange = exchange
        self._judge = judge
        self._logs = logs
        self._max_input_bytes = max_input_bytes
        self._started_at_ms = clock.now_ms()

    @property
    def registry(self) -> ImageRegistry:
        """The images."""
        return self._registry

    @property
    def restarts(self) -> Restarts:
        """Retries and forks."""
        return self._restarts

    @property
    def hosts(self) -> HostService:
        """The hosts of the database."""
        return self._hosts

    @property
    def exchange(self) -> ArtifactExchange:
        """What hosts ask of each other about artifacts."""
        return self._exchange

    @property
    def logs(self) -> InstanceLogs:
        """What launched programs have written."""
        return self._logs

    async def health_check(self) -> HealthReport:
        """Health of environment and core; `active_instances` counts running ones."""
        core = await self._core.health_check()
        return HealthReport(
            healthy=core.healthy,
            version=runtara_environment.__version__,
            uptime_ms=self._clock.now_ms() - self._started_at_ms,
            active_instances=core.active_instances,
        )

    async def delete_image(self, image_id: str, tenant_id: str) -> None:
        """Delete an image; refused while an unfinished instance needs it.

        Raises `ImageNotFoundError`, `InvalidStateError`.
        """
        page = await self._core.list_instances(
            InstanceFilter(tenant_id=tenant_id, statuses=_UNFINISHED, image_ids=(image_id,), limit=1)
        )
        if page.instances:
            raise InvalidStateError(
                f"image {image_id} is needed by {page.total_count} unfinished instances, "
                f"for example {page.instances[0].instance_id}; wait for them or cancel them"
            )
        await self._registry.delete(image_id, tenant_id)

    async def start_instance(
        self,
        image_id: str,
        tenant_id: str,
        *,
        instance_id: str | None = None,
        input_json: bytes = b"",
        timeout_seconds: int | None = None,
        env: Mapping[str, str] | None = None,
        cancel_grace_seconds: int | None = None,
        image_version: int | None = None,
        limits: ResourceLimits = UNLIMITED,
    ) -> StartedInstance:
        """Accept a start; the instance is launched as soon as a slot is free.

        A start with an id is idempotent: the same id, tenant and image again starts nothing and tells of the earlier
        start. `image_version` takes another version of the image than the current one.
        An input that does not fit the schema of a scenario is refused before anything exists, as the program would.
        Raises `ImageNotFoundError`, `InvalidInputError`, `InputRefusedError`, `InstanceExistsError`.
        """
        if not image_id:
            raise InvalidInputError("image_id is empty")
        validate_identifier("tenant_id", tenant_id)
        instance_id = validate_identifier("instance_id", instance_id or str(uuid.uuid4()))
        require_acceptable_variables(env or {})
        self.require_input_size(len(input_json))
        # Whether the artifact is on this host matters to the host that launches, which may be another.
        image = await self._registry.use(image_id, tenant_id, version=image_version)
        options = LaunchOptions(
            image.digest, timeout_seconds, dict(env or {}), cancel_grace_seconds, limits, image.limits, image.runner
        )
        await self._rules.require_acceptable(options.asked_limits, image.runner)
        input_json = input_json.removeprefix(codecs.BOM_UTF8) or b"{}"
        await self._require_acceptable_input(image, input_json, instance_id)
        new = NewInstance(
            instance_id=instance_id,
            tenant_id=tenant_id,
            image_id=image_id,
            input=input_json,
            launch_options=options.encode(),
        )
        try:
            created = await self._core.create_instance(new)
        except InstanceExistsError as error:
            raise await self._taken(new, error) from error
        if not created.deduplicated:
            return StartedInstance(instance_id)
        return StartedInstance(instance_id, await self._earlier_start(new, image.digest))

    async def require_acceptable(self, limits: ResourceLimits, runner: str | None) -> None:
        """Raise `InvalidInputError` for limits that an image must not ask for here."""
        await self._rules.require_acceptable(limits, runner)

    async def warning_of_runner(self, runner: str | None) -> str | None:
        """Why this environment cannot launch an image that names this runner; None when it can."""
        return await self._rules.warning(runner)

    async def _require_acceptable_input(self, image: Image, input_json: bytes, instance_id: str) -> None:
        schema_json = await self._registry.input_schema(image.image_id, image.digest)
        try:
            await self._judge.require_acceptable(input_json, schema_json, image.tenant_id)
        except InputRefusedError:
            # The same start may have been accepted when the image had another version: then it is told so.
            known = await self._core.get_instance(instance_id, tenant_id=image.tenant_id)
            if known is None or known.image_id != image.image_id:
                raise

    def require_input_size(self, size: int) -> None:
        """Refuse an input that is longer than a start may have."""
        if size > self._max_input_bytes:
            raise InvalidInputError(
                f"the input has {size} bytes, more than the {self._max_input_bytes} of RUNTARA_MAX_INPUT_BYTES; "
                "pass a reference to large data"
            )

    async def read_input(
        self, instance_id: str, *, offset: int, limit_bytes: int, tenant_id: str | None = None
    ) -> InputPart:
        """A part of the input of an instance, at most 4 MiB; raises `InstanceNotFoundError`."""
        await self.get_instance(instance_id, tenant_id=tenant_id)
        part = await self._core.read_input(instance_id, offset=offset, limit_bytes=limit_bytes)
        return InputPart(b"", 0) if part is None else part

    async def _is_other_input(self, instance: Instance, new_input: bytes) -> bool:
        if instance.input_bytes is None:
            return is_other_json(instance.input or b"{}", new_input)
        if instance.input_bytes != len(new_input):
            return True
        for offset in range(0, len(new_input), MAX_INPUT_PART_BYTES):
            part = await self._core.read_input(instance.instance_id, offset=offset, limit_bytes=MAX_INPUT_PART_BYTES)
            if part is None or part.data != new_input[offset : offset + MAX_INPUT_PART_BYTES]:
                return True
        return False

    def expect_artifact(self, image_id: str) -> None:
        """Say that the artifact of an image has come to this host: what waited for it is launched."""
        self._supervisor.expect_artifact(image_id)

    async def _taken(self, new: NewInstance, error: InstanceExistsError) -> InstanceExistsError:
        """The same error, with what an owner may know: which image the instance is of."""
        instance = await self._core.get_instance(new.instance_id, tenant_id=new.tenant_id)
        if instance is None or instance.image_id is None:
            return error
        return InstanceExistsError(
            f"instance id {new.instance_id} is taken by an instance of the image {instance.image_id}: choose another"
        )

    async def _earlier_start(self, new: NewInstance, digest: str) -> EarlierStart:
        instance = await self.get_instance(new.instance_id, tenant_id=new.tenant_id)
        try:
            earlier_digest = LaunchOptions.decode(instance.launch_options).digest
        except InvalidInputError:  # of a later version of this daemon
            earlier_digest = digest
        return EarlierStart(
            image_id=instance.image_id or new.image_id,
            status=instance.status,
            other_version=earlier_digest != digest,
            other_input=await self._is_other_input(instance, new.input),
        )

    async def stop_instance(
        self, instance_id: str, *, grace_seconds: int, reason: str = "", tenant_id: str | None = None
    ) -> None:
        """Cancel an instance and end its process: asked first, killed after the grace, confirmed dead.

        It does not matter which environment of the database watches the process. The reason stays as an event. Raises
        `StopError` when its death cannot be confirmed; the cancel stays.
        """
        await self.get_instance(instance_id, tenant_id=tenant_id)
        status = await self._core.send_signal(instance_id, SignalType.CANCEL, reason.encode())
        if status.is_terminal:
            return
        grace_seconds = min(max(grace_seconds, 1), _MAX_GRACE_SECONDS)
        if not await self._supervisor.stop_process(instance_id, grace_seconds):
            await self._remote_stop.confirm(instance_id, grace_seconds)

    async def resume_instance(self, instance_id: str, *, tenant_id: str | None = None) -> InstanceStatus:
        """Make a suspended instance due now."""
        return await self.send_signal(instance_id, SignalType.RESUME, tenant_id=tenant_id)

    async def get_instance(self, instance_id: str, *, tenant_id: str | None = None) -> Instance:
        """One instance; raises `InstanceNotFoundError`."""
        instance = await self._core.get_instance(instance_id, tenant_id=tenant_id)
        if instance is None:
            raise InstanceNotFoundError(f"instance {instance_id} not found")
        return instance

    async def list_instances(self, where: InstanceFilter) -> InstancePage:
        """A page of instances."""
        return await self._core.list_instances(where)

    async def send_signal(
        self, instance_id: str, signal_type: SignalType, payload: bytes = b"", *, tenant_id: str | None = None
    ) -> InstanceStatus:
        """Cancel, pause, shut down or resume; returns the status after it.

        The process of a cancelled instance that has not ended within the grace of its start is killed. A pause and a
        shutdown wait for the step that is under way, however long it takes.
        """
        await self.get_instance(instance_id, tenant_id=tenant_id)
        status = await self._core.send_signal(instance_id, signal_type, payload)
        if signal_type is SignalType.CANCEL:
            self._supervisor.expect_cancel()
        return status

    async def send_custom_signal(self, instance_id: str, signal: CustomSignal, *, tenant_id: str | None = None) -> None:
        """Leave a payload for a checkpoint id."""
        if not signal.checkpoint_id:
            raise InvalidInputError("checkpoint_id is empty: a custom signal is addressed to one")
        await self.get_instance(instance_id, tenant_id=tenant_id)
        await self._core.send_custom_signal(instance_id, signal)

    async def list_checkpoints(
        self, instance_id: str, where: CheckpointFilter, *, tenant_id: str | None = None
    ) -> CheckpointPage:
        """A page of checkpoints."""
        await self.get_instance(instance_id, tenant_id=tenant_id)
        return await self._core.list_checkpoints(instance_id, where)

    async def get_checkpoint(
        self, instance_id: str, checkpoint_id: str, *, tenant_id: str | None = None
    ) -> CheckpointRecord | None:
        """One checkpoint with its state, or None."""
        await self.get_instance(instance_id, tenant_id=tenant_id)
        return await self._core.get_checkpoint(instance_id, checkpoint_id)

    async def list_events(self, instance_id: str, where: EventFilter, *, tenant_id: str | None = None) -> EventPage:
        """A page of events."""
        await self.get_instance(instance_id, tenant_id=tenant_id)
        return await self._core.list_events(instance_id, where)

    async def list_step_summaries(
        self, instance_id: str, where: StepFilter, *, tenant_id: str | None = None
    ) -> StepPage:
        """A page of the steps that the instance traced in debug mode."""
        await self.get_instance(instance_id, tenant_id=tenant_id)
        return await self._core.list_step_summaries(instance_id, where)

    async def get_scope_ancestors(
        self, instance_id: str, scope_id: str, *, tenant_id: str | None = None
    ) -> list[ScopeInfo]:
        """A scope and those around it, the innermost first; empty when no step of it was traced."""
        if not scope_id:
            raise InvalidInputError("scope_id is empty: steps and events name the scope that they are in")
        await self.get_instance(instance_id, tenant_id=tenant_id)
        return await self._core.get_scope_ancestors(instance_id, scope_id)

    async def get_tenant_metrics(
        self,
        tenant_id: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        granularity: MetricsGranularity = MetricsGranularity.HOURLY,
    ) -> TenantMetrics:
        """What of a tenant has ended in each hour or day; without times, within the last 24 hours."""
        end_ms = self._clock.now_ms() if end_ms is None else end_ms
        where = MetricsRange(tenant_id, max(0, end_ms - _DAY_MS) if start_ms is None else start_ms, end_ms, granularity)
        return TenantMetrics(where, await self._core.get_tenant_metrics(where))


def is_other_json(text: bytes, other: bytes) -> bool:
    """Whether two JSON texts differ: in their values up to 64 KiB, in how they are written above.

    Read as JSON, long ones would take many times their room, and hold up everybody meanwhile.
    """
    if text == other or max(len(text), len(other)) > _COMPARED_BY_VALUE_BYTES:
        return text != other
    return _canonical_json(text) != _canonical_json(other)


def _canonical_json(text: bytes) -> str:
    """JSON texts of one value are the same, however their numbers are written (`1`, `1.0`, `1e0`)."""
    return json.dumps(json.loads(text, parse_float=_number), sort_keys=True)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
