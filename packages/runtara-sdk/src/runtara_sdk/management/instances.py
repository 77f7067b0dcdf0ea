"""Instances of an environment: started, shown, stopped, sent signals."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from runtara_sdk.errors import InstanceNotFoundError
from runtara_sdk.identifiers import refuse_empty
from runtara_sdk.management import codec
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.models import InstanceInfo, StartedInstance
from runtara_sdk.models import SignalType
from runtara_sdk.outcome import encode_json
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.resource_limits import ResourceLimits

_CONFIRMATION_MS = 45_000
"""What the death of a process may take beyond its grace: its host may be gone, with a lease that has to end."""

_LONGEST_INPUT_IN_MESSAGE = 4 * 1024 * 1024
"""A longer one follows its request on the stream."""

_UPLOAD_TIMEOUT_MS = 120_000
_PART_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


class InstanceVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that starts, shows and signals instances."""

    async def start_instance(
        self,
        image_id: str,
        tenant_id: str,
        *,
        instance_id: str | None = None,
        input_envelope: Any = None,
        timeout_seconds: int | None = None,
        env: Mapping[str, str] | None = None,
        cancel_grace_seconds: int | None = None,
        image_version: int | None = None,
        limits: ResourceLimits | None = None,
    ) -> StartedInstance:
        """Start an instance of an image.

        The same start again (id, tenant and image) is accepted and changes nothing, so a start whose answer was lost
        may be repeated with its id; `earlier` of the answer tells whether version and input are the same as then.

        Args:
            image_id: id of the image.
            tenant_id: owner of image and instance.
            instance_id: chosen id; None makes one, the empty text is refused.
            input_envelope: JSON value, for compiled scenarios `{"data": ..., "variables": ...}`; bytes are sent as they
                are. Up to 64 MiB, unless the environment has another bound.
            timeout_seconds: bound of the run; None leaves it to the environment.
            env: further variables of the process.
            cancel_grace_seconds: how long the program has to obey a cancel before it is killed; None is 30 s.
            image_version: another version of the image than the current one.
            limits: bounds of every launch; those that are None are the image's.

        Raises `InputRefusedError`, which lists the violations, when the input does not fit the schema of the scenario;
        then nothing was started.
        """
        content = b"{}" if input_envelope is None else encode_json(input_envelope, "the input")
        is_long = len(content) > _LONGEST_INPUT_IN_MESSAGE
        message = pb.StartInstanceRequest(
            image_id=image_id,
            tenant_id=tenant_id,
            instance_id=refuse_empty("instance_id", instance_id) or str(uuid.uuid4()),
            input=b"" if is_long else content,
            input_bytes=len(content) if is_long else 0,
            timeout_seconds=timeout_seconds,
            env=env or {},
            cancel_grace_seconds=cancel_grace_seconds,
            image_version=image_version,
            limits=codec.encode_limits(limits),
        )
        if is_long:
            payload = self._encode(pb.RpcRequest(start_instance_stream=message))
            timeout_ms = max(self.settings.request_timeout_ms, _UPLOAD_TIMEOUT_MS)
            received = await self._client.call_streaming(payload, _parts(content), timeout_ms=timeout_ms)
            response = codec.decode_response(received, "start_instance")
        else:
            response = await self._call(pb.RpcRequest(start_instance=message), "start_instance")
        answer = response.start_instance
        codec.require_started(answer)
        earlier = codec.decode_earlier_start(answer.earlier) if answer.HasField("earlier") else None
        return StartedInstance(answer.instance_id, answer.deduplicated, earlier)

    async def read_input(self, instance_id: str) -> AsyncIterator[bytes]:
        """The input of an instance as JSON text, however long, in parts; raises `InstanceNotFoundError`."""
        offset = 0
        while True:
            message = pb.ReadInputRequest(
                instance_id=instance_id, tenant_id=self.settings.tenant_id, offset=offset, limit_bytes=_PART_BYTES
            )
            answer = (await self._call(pb.RpcRequest(read_input=message), "read_input")).read_input
            if answer.data:
                yield answer.data
            offset += len(answer.data)
            if offset >= answer.total_bytes or not answer.data:
                return

    async def stop_instance(self, instance_id: str, *, grace_period_seconds: int = 5, reason: str = "") -> None:
        """End an instance as cancelled: its process is told, given the grace period, then killed.

        Returns once the process is dead, on whichever host of the environment's database it ran. The reason is kept in
        an event of subtype `instance_cancel_requested`.
        """
        message = pb.StopInstanceRequest(
            instance_id=instance_id,
            grace_period_seconds=grace_period_seconds,
            reason=reason,
            tenant_id=self.settings.tenant_id,
        )
        timeout_ms = self.settings.request_timeout_ms + grace_period_seconds * 1000 + _CONFIRMATION_MS
        response = await self._call(pb.RpcRequest(stop_instance=message), "stop_instance", timeout_ms=timeout_ms)
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
        """Ask an instance to end as cancelled; its process is killed when it has not ended within its start's grace.

        The program gets the reason with the signal; it is kept in an event of subtype `instance_cancel_requested`.
        """
        await self.send_signal(instance_id, SignalType.CANCEL, reason.encode())

    async def pause_instance(self, instance_id: str) -> None:
        """Ask an instance to suspend itself until it is resumed.

        It does so at its next checkpoint or wait, so a step that is under way ends first, however long it takes.
        """
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


async def _parts(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]
