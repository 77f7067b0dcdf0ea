"""`ManagementSdk`: a program's or an operator's way to an environment."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import (
    CheckpointNotFoundError,
    ImageNotFoundError,
    InstanceNotFoundError,
    InvalidInputError,
)
from runtara_sdk.management import codec
from runtara_sdk.management.completion import await_end
from runtara_sdk.management.models import (
    CheckpointDetail,
    CheckpointPage,
    EventPage,
    HealthReport,
    ImageInfo,
    ImagePage,
    InstanceInfo,
    InstancePage,
    RegisteredImage,
    RunnerType,
    StartedInstance,
)
from runtara_sdk.management.settings import ManagementSettings
from runtara_sdk.management.upload import digest_file, read_chunks
from runtara_sdk.models import InstanceStatus, SignalType
from runtara_sdk.outcome import encode_json
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.quic_backend import RequestClient

UPLOAD_TIMEOUT_MS = 600_000


class EnvironmentClient(RequestClient, Protocol):
    """The part of `runtara_sdk.transport.QuicClient` that this module uses."""

    async def call_streaming(
        self, payload: bytes, chunks: AsyncIterable[bytes], *, timeout_ms: int | None = None
    ) -> bytes:
        """Send one request followed by raw bytes, and return the answer."""


class ManagementSdk:
    """Images and instances of an environment.

    Every method makes one call and raises the `RuntaraError` that the environment named (`ImageNotFoundError`,
    `InstanceNotFoundError`, `InstanceExistsError`, `InvalidStateError`, ...), `TransportError` when it cannot be
    reached, `DeadlineExceededError` when it gave no answer within `request_timeout_ms`. Pages are bounded by the
    environment.
    """

    def __init__(
        self,
        settings: ManagementSettings | None = None,
        *,
        client: EnvironmentClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings or ManagementSettings.from_environment()
        self._client = client or _quic_client(self.settings)
        self._clock = clock or SystemClock()
        self._is_connected = False

    @classmethod
    def from_env(cls) -> Self:
        """With the environment that the variables name (RUNTARA_ENVIRONMENT_ADDR and the TLS ones)."""
        return cls(ManagementSettings.from_environment())

    @classmethod
    def localhost(cls) -> Self:
        """With the environment of this machine at its default port."""
        return cls(ManagementSettings.localhost())

    @property
    def is_connected(self) -> bool:
        """Whether `connect` has succeeded and `close` was not called; a lost connection is made again by itself."""
        return self._is_connected

    async def connect(self) -> None:
        """Reach the environment. Calling again does nothing."""
        await self._client.connect()
        self._is_connected = True

    async def close(self) -> None:
        """Release the connection."""
        self._is_connected = False
        await self._client.close()

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def health_check(self) -> HealthReport:
        """Whether the environment and what it needs are well."""
        response = await self._call(pb.RpcRequest(health_check=pb.HealthCheckRequest()), "health_check")
        answer = response.health_check
        return HealthReport(answer.healthy, answer.version, answer.uptime_ms, answer.active_instances)

    # Images

    async def register_image(
        self,
        tenant_id: str,
        name: str,
        binary: bytes,
        *,
        description: str | None = None,
        runner_type: RunnerType = RunnerType.NATIVE,
        metadata: Mapping[str, Any] | None = None,
    ) -> RegisteredImage:
        """Register a small artifact (under 16 MB, else use `register_image_stream`) in one message."""
        message = pb.RegisterImageRequest(
            tenant_id=tenant_id,
            name=name,
            description=description,
            binary=binary,
            runner_type=codec.RUNNER_NUMBERS[runner_type],
            metadata=_optional_json(metadata, "metadata"),
        )
        payload = self._encode(pb.RpcRequest(register_image=message))
        answer = await self._client.call(payload, timeout_ms=UPLOAD_TIMEOUT_MS)
        return _registered(codec.decode_response(answer, "register_image"))

    async def register_image_stream(
        self,
        tenant_id: str,
        name: str,
        source: str | Path | AsyncIterable[bytes],
        *,
        binary_size: int | None = None,
        sha256: str | None = None,
        description: str | None = None,
        runner_type: RunnerType = RunnerType.NATIVE,
        metadata: Mapping[str, Any] | None = None,
        timeout_ms: int = UPLOAD_TIMEOUT_MS,
    ) -> RegisteredImage:
        """Register an artifact of any size, sent in chunks.

        Args:
            tenant_id: owner of the image.
            name: what the image is called.
            source: path of a file, whose size and digest are found here; or an asynchronous iterable of bytes.
            binary_size: bytes that will come; the environment refuses the upload when another number came.
            sha256: digest of the bytes, lower-case hex; refused likewise.
            description: free text.
            runner_type: what is to run it.
            metadata: JSON object kept with the image.
            timeout_ms: bound of the whole upload, milliseconds.
        """
        chunks: AsyncIterable[bytes]
        if isinstance(source, str | Path):
            digest = await digest_file(Path(source))
            binary_size, sha256 = digest.size, digest.sha256
            chunks = read_chunks(Path(source))
        else:
            chunks = source
        message = pb.RegisterImageStreamStart(
            tenant_id=tenant_id,
            name=name,
            description=description,
            binary_size=binary_size or 0,
            runner_type=codec.RUNNER_NUMBERS[runner_type],
            metadata=_optional_json(metadata, "metadata"),
            sha256=sha256,
        )
        payload = self._encode(pb.RpcRequest(register_image_stream=message))
        answer = await self._client.call_streaming(payload, chunks, timeout_ms=timeout_ms)
        return _registered(codec.decode_response(answer, "register_image"))

    async def list_images(self, tenant_id: str | None = None, *, limit: int = 100, offset: int = 0) -> ImagePage:
        """A page of images."""
        message = pb.ListImagesRequest(tenant_id=tenant_id or self.settings.tenant_id, limit=limit, offset=offset)
        response = await self._call(pb.RpcRequest(list_images=message), "list_images")
        images = tuple(codec.decode_image(image) for image in response.list_images.images)
        return ImagePage(images, response.list_images.total_count)

    async def get_image(self, image_id: str, tenant_id: str) -> ImageInfo:
        """One image; raises `ImageNotFoundError`."""
        message = pb.GetImageRequest(image_id=image_id, tenant_id=tenant_id)
        response = await self._call(pb.RpcRequest(get_image=message), "get_image")
        if not response.get_image.found:
            raise ImageNotFoundError(f"tenant {tenant_id} has no image {image_id}")
        return codec.decode_image(response.get_image.image)

    async def delete_image(self, image_id: str, tenant_id: str) -> None:
        """Remove an image; raises `ImageNotFoundError`."""
        message = pb.DeleteImageRequest(image_id=image_id, tenant_id=tenant_id)
        response = await self._call(pb.RpcRequest(delete_image=message), "delete_image")
        codec.require_success(response.delete_image, "delete_image")

    # Instances

    async def start_instance(
        self,
        image_id: str,
        tenant_id: str,
        *,
        instance_id: str | None = None,
        input_envelope: Any = None,
        timeout_seconds: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> StartedInstance:
        """Start an instance of an image.

        The same start again (id, tenant and image) is accepted and changes nothing, so a start whose answer was lost
        may be repeated with its id.

        Args:
            image_id: id of the image, or its name.
            tenant_id: owner of image and instance.
            instance_id: chosen id; None makes one.
            input_envelope: JSON value, for compiled scenarios `{"data": ..., "variables": ...}`; bytes are sent as they
                are.
            timeout_seconds: bound of the run; None leaves it to the environment.
            env: further variables of the process.
        """
        message = pb.StartInstanceRequest(
            image_id=image_id,
            tenant_id=tenant_id,
            instance_id=instance_id or str(uuid.uuid4()),
            input=b"{}" if input_envelope is None else encode_json(input_envelope, "the input"),
            timeout_seconds=timeout_seconds,
            env=env or {},
        )
        response = await self._call(pb.RpcRequest(start_instance=message), "start_instance")
        answer = response.start_instance
        codec.require_success(answer, "start_instance")
        return StartedInstance(answer.instance_id, answer.deduplicated)

    async def stop_instance(self, instance_id: str, *, grace_period_seconds: int = 5, reason: str = "") -> None:
        """End an instance as cancelled: its process is told, given the grace period, then killed."""
        message = pb.StopInstanceRequest(
            instance_id=instance_id,
            grace_period_seconds=grace_period_seconds,
            reason=reason,
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(stop_instance=message), "stop_instance")
        codec.require_success(response.stop_instance, "stop_instance")

    async def resume_instance(self, instance_id: str) -> None:
        """Let a suspended instance go on."""
        message = pb.ResumeInstanceRequest(instance_id=instance_id, tenant_id=self.settings.tenant_id)
        response = await self._call(pb.RpcRequest(resume_instance=message), "resume_instance")
        codec.require_success(response.resume_instance, "resume_instance")

    async def get_instance_status(self, instance_id: str) -> InstanceInfo:
        """All that is known of an instance; raises `InstanceNotFoundError`."""
        message = pb.GetInstanceStatusRequest(instance_id=instance_id, tenant_id=self.settings.tenant_id)
        response = await self._call(pb.RpcRequest(get_instance_status=message), "get_instance_status")
        answer = response.get_instance_status
        found = answer.found if answer.HasField("found") else answer.status != pb.STATUS_UNKNOWN
        if not found:
            raise InstanceNotFoundError(f"there is no instance {instance_id}")
        return codec.decode_instance(answer)

    async def list_instances(
        self,
        *,
        tenant_id: str | None = None,
        status: InstanceStatus | None = None,
        image_id: str | None = None,
        image_name_prefix: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        finished_after_ms: int | None = None,
        finished_before_ms: int | None = None,
        order_by: str = "created_at_desc",
        limit: int = 100,
        offset: int = 0,
    ) -> InstancePage:
        """A page of instances. `*_after` is inclusive, `*_before` exclusive.

        `order_by` is created_at_desc, created_at_asc, finished_at_desc or finished_at_asc.
        """
        message = pb.ListInstancesRequest(
            tenant_id=tenant_id or self.settings.tenant_id,
            status=codec.STATUS_NUMBERS[status] if status is not None else None,
            limit=limit,
            offset=offset,
            image_id=image_id,
            created_after_ms=created_after_ms,
            created_before_ms=created_before_ms,
            finished_after_ms=finished_after_ms,
            finished_before_ms=finished_before_ms,
            order_by=order_by,
            image_name_prefix=image_name_prefix,
        )
        response = await self._call(pb.RpcRequest(list_instances=message), "list_instances")
        answer = response.list_instances
        return InstancePage(
            tuple(codec.decode_instance_summary(instance) for instance in answer.instances), answer.total_count
        )

    # Signals

    async def send_signal(self, instance_id: str, signal_type: SignalType, payload: bytes = b"") -> None:
        """Cancel, pause, shut down or resume an instance; raises `InvalidStateError` when it has ended."""
        if signal_type is SignalType.RESUME:
            await self.resume_instance(instance_id)
            return
        message = pb.SendSignalRequest(
            instance_id=instance_id,
            signal_type=codec.SIGNAL_NUMBERS[signal_type],
            payload=payload,
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(send_signal=message), "send_signal")
        codec.require_success(response.send_signal, "send_signal")

    async def cancel_instance(self, instance_id: str, reason: str = "") -> None:
        """Ask an instance to end as cancelled."""
        await self.send_signal(instance_id, SignalType.CANCEL, reason.encode())

    async def pause_instance(self, instance_id: str) -> None:
        """Ask an instance to suspend itself until it is resumed."""
        await self.send_signal(instance_id, SignalType.PAUSE)

    async def shutdown_instance(self, instance_id: str) -> None:
        """Ask a running instance to end its process, and to go on at once in another, wherever there is room.

        Changes nothing of an instance that is pending or suspended.
        """
        await self.send_signal(instance_id, SignalType.SHUTDOWN)

    async def send_custom_signal(self, instance_id: str, checkpoint_id: str, payload: bytes = b"") -> None:
        """Leave a payload for the checkpoint that waits for it; the last one sent counts."""
        message = pb.SendCustomSignalRequest(
            instance_id=instance_id,
            checkpoint_id=checkpoint_id,
            payload=payload,
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(send_custom_signal=message), "send_custom_signal")
        codec.require_success(response.send_custom_signal, "send_custom_signal")

    # History

    async def list_checkpoints(
        self, instance_id: str, *, checkpoint_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> CheckpointPage:
        """A page of checkpoints, newest first."""
        message = pb.ListCheckpointsRequest(
            instance_id=instance_id,
            checkpoint_id=checkpoint_id,
            limit=limit,
            offset=offset,
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(list_checkpoints=message), "list_checkpoints")
        answer = response.list_checkpoints
        return CheckpointPage(
            tuple(codec.decode_checkpoint_summary(checkpoint) for checkpoint in answer.checkpoints),
            answer.total_count,
        )

    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointDetail:
        """One checkpoint with its state; raises `CheckpointNotFoundError`."""
        message = pb.GetCheckpointRequest(
            instance_id=instance_id, checkpoint_id=checkpoint_id, tenant_id=self.settings.tenant_id
        )
        response = await self._call(pb.RpcRequest(get_checkpoint=message), "get_checkpoint")
        answer = response.get_checkpoint
        if not answer.found:
            raise CheckpointNotFoundError(f"instance {instance_id} has no checkpoint {checkpoint_id!r}")
        data = codec.decode_value(answer.data)
        return CheckpointDetail(answer.checkpoint_id, answer.instance_id, answer.created_at_ms, data)

    async def list_events(
        self,
        instance_id: str,
        *,
        event_type: str | None = None,
        subtype: str | None = None,
        payload_contains: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> EventPage:
        """A page of events, newest first."""
        message = pb.ListEventsRequest(
            instance_id=instance_id,
            event_type=event_type,
            subtype=subtype,
            limit=limit,
            offset=offset,
            created_after_ms=created_after_ms,
            created_before_ms=created_before_ms,
            payload_contains=payload_contains,
            tenant_id=self.settings.tenant_id,
        )
        response = await self._call(pb.RpcRequest(list_events=message), "list_events")
        answer = response.list_events
        return EventPage(tuple(codec.decode_event(event) for event in answer.events), answer.total_count)

    # Runs

    async def wait_for_completion(
        self,
        instance_id: str,
        *,
        poll_interval: timedelta | float = 0.5,
        timeout: timedelta | float | None = None,
    ) -> InstanceInfo:
        """Wait until an instance has ended, through suspensions and restarts of the environment (up to 2 min).

        Args:
            instance_id: the instance.
            poll_interval: a timedelta or seconds between two questions.
            timeout: a timedelta or seconds; None waits for ever. Raises `DeadlineExceededError` after it.
        """
        return await await_end(
            lambda: self.get_instance_status(instance_id),
            instance_id,
            clock=self._clock,
            interval_ms=_milliseconds(poll_interval),
            timeout_ms=None if timeout is None else _milliseconds(timeout),
        )

    async def run_instance(
        self,
        image_id: str,
        tenant_id: str,
        *,
        instance_id: str | None = None,
        input_envelope: Any = None,
        timeout_seconds: int | None = None,
        env: Mapping[str, str] | None = None,
        poll_interval: timedelta | float = 0.5,
        timeout: timedelta | float | None = None,
    ) -> InstanceInfo:
        """`start_instance`, then `wait_for_completion`."""
        started = await self.start_instance(
            image_id,
            tenant_id,
            instance_id=instance_id,
            input_envelope=input_envelope,
            timeout_seconds=timeout_seconds,
            env=env,
        )
        return await self.wait_for_completion(started.instance_id, poll_interval=poll_interval, timeout=timeout)

    async def _call(self, request: pb.RpcRequest, verb: str) -> pb.RpcResponse:
        answer = await self._client.call(self._encode(request), timeout_ms=self.settings.request_timeout_ms)
        return codec.decode_response(answer, verb)

    def _encode(self, request: pb.RpcRequest) -> bytes:
        if self.settings.api_key is not None:
            request.api_key = self.settings.api_key
        return request.SerializeToString()


def _quic_client(settings: ManagementSettings) -> EnvironmentClient:
    from runtara_sdk.transport import QuicClient

    return QuicClient(
        settings.server_addr,
        server_name=settings.server_name,
        ca_file=settings.ca_file,
        verify=not settings.skip_cert_verification,
        connect_timeout_ms=settings.connect_timeout_ms,
        request_timeout_ms=settings.request_timeout_ms,
    )


def _registered(response: pb.RpcResponse) -> RegisteredImage:
    codec.require_success(response.register_image, "register_image")
    return RegisteredImage(response.register_image.image_id, response.register_image.version)


def _optional_json(value: Mapping[str, Any] | None, what: str) -> bytes | None:
    return None if value is None else encode_json(dict(value), what)


def _milliseconds(duration: timedelta | float) -> int:
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not 0 <= seconds < 2**53 / 1000:
        raise InvalidInputError(f"{duration!r} is not a duration of 0 s or more")
    return round(seconds * 1000)
