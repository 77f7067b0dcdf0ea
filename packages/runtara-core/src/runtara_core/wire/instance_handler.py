"""The instance port: one method a call of package `runtara.instance`."""

from __future__ import annotations

import logging

from runtara_sdk.errors import RuntaraError, StorageError
from runtara_sdk.models import WaitsBeside
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.transport.complaints import Complaints

from runtara_core.instance_service import InstanceService
from runtara_core.wire.dispatch import HANDLER_SECONDS, RpcDispatcher
from runtara_core.wire.instance_codec import (
    decode_event,
    decode_new_checkpoints,
    decode_retry_attempt,
    decode_signal_type,
    encode_checkpoint_result,
    encode_checkpoint_results,
    encode_progress,
    encode_retry_outcome,
    encode_signal_poll,
    encode_signal_wait,
    encode_sleep_outcome,
    encode_status,
    encode_status_report,
)
from runtara_core.wire.instance_gate import InstanceGate

logger = logging.getLogger(__name__)


def _epoch(request: pb.RpcRequest) -> int | None:
    return request.epoch if request.HasField("epoch") else None


def _seconds_of(request: pb.RpcRequest) -> float | None:
    waits = request.WhichOneof("request") == "sleep" and request.sleep.sleep_revision == 0
    return None if waits else HANDLER_SECONDS


class InstanceHandler:
    """Decodes a call, asks the service, encodes the answer."""

    def __init__(self, service: InstanceService, gate: InstanceGate) -> None:
        self._service = service
        self._gate = gate
        self._complaints = Complaints(logger)
        self.dispatcher = RpcDispatcher(
            pb.RpcRequest,
            pb.RpcResponse,
            {
                "register_instance": self.register_instance,
                "checkpoint": self.checkpoint,
                "checkpoints": self.checkpoints,
                "get_checkpoint": self.get_checkpoint,
                "sleep": self.sleep,
                "instance_event": self.instance_event,
                "instance_event_batch": self.instance_event_batch,
                "get_instance_status": self.get_instance_status,
                "poll_signals": self.poll_signals,
                "signal_ack": self.signal_ack,
                "retry_attempt": self.retry_attempt,
                "wait_signal": self.wait_signal,
            },
            authorize=gate.authorize,
            seconds_of=_seconds_of,
        )

    async def register_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Register; a refusal is a normal answer with `success` false, as the original does."""
        call = request.register_instance
        try:
            registration = await self._service.register(
                call.instance_id,
                call.tenant_id,
                epoch=_epoch(request),
                checkpoint_id=call.checkpoint_id if call.HasField("checkpoint_id") else None,
                registration_key=call.registration_key if call.HasField("registration_key") else None,
            )
        except StorageError:
            # Not a refusal: the caller may try again, which only an error answer says.
            raise
        except RuntaraError as error:
            refusal = pb.RegisterInstanceResponse(success=False, error=error.message, error_code=error.code)
            return pb.RpcResponse(register_instance=refusal)
        token = await self._gate.token_of_registration(call, registration)
        return pb.RpcResponse(
            register_instance=pb.RegisterInstanceResponse(
                success=True, epoch=registration.epoch, instance_token=token, is_new=registration.is_new
            )
        )

    async def checkpoint(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Store a checkpoint, or return the stored one."""
        call = request.checkpoint
        result = await self._service.checkpoint(
            call.instance_id, _epoch(request), call.checkpoint_id, call.state, call.call_key
        )
        return pb.RpcResponse(checkpoint=encode_checkpoint_result(call.instance_id, result))

    async def checkpoints(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Store several checkpoints, or return the stored ones, in one transaction."""
        call = request.checkpoints
        results = await self._service.checkpoints(call.instance_id, _epoch(request), decode_new_checkpoints(call))
        return pb.RpcResponse(checkpoints=encode_checkpoint_results(call.instance_id, results))

    async def get_checkpoint(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Look a checkpoint up, and the attempts to come by it."""
        call = request.get_checkpoint
        progress = await self._service.get_progress(call.instance_id, call.checkpoint_id, _epoch(request))
        return pb.RpcResponse(get_checkpoint=encode_progress(progress))

    async def sleep(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Sleep durably."""
        call = request.sleep
        if call.sleep_revision == 0:
            await self._service.sleep_in_server(
                call.instance_id,
                _epoch(request),
                call.checkpoint_id,
                call.state,
                duration_ms=call.duration_ms,
            )
            return pb.RpcResponse(sleep=pb.SleepResponse())
        outcome = await self._service.sleep(
            call.instance_id,
            _epoch(request),
            call.checkpoint_id,
            call.state,
            duration_ms=call.duration_ms,
            suspend_above_ms=call.suspend_above_ms if call.HasField("suspend_above_ms") else None,
        )
        return pb.RpcResponse(sleep=encode_sleep_outcome(outcome))

    async def instance_event(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Record an event."""
        call = request.instance_event
        await self._service.report_event(call.instance_id, _epoch(request), decode_event(call))
        return pb.RpcResponse(instance_event=pb.InstanceEventResponse(success=True))

    async def instance_event_batch(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Record events in order; one that fails is skipped, as the original does."""
        accepted = 0
        for call in request.instance_event_batch.events:
            try:
                await self._service.report_event(call.instance_id, _epoch(request), decode_event(call))
            except RuntaraError as error:
                self._complaints.warn("event of instance %s skipped: %s", call.instance_id, error)
            else:
                accepted += 1
        return pb.RpcResponse(instance_event_batch=pb.InstanceEventBatchResponse(accepted=accepted))

    async def get_instance_status(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Status of an instance."""
        call = request.get_instance_status
        report = await self._service.get_instance_status(
            call.instance_id, call.tenant_id if call.HasField("tenant_id") else None
        )
        return pb.RpcResponse(get_instance_status=encode_status_report(report))

    async def poll_signals(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """What is waiting for the instance."""
        call = request.poll_signals
        poll = await self._service.poll_signals(
            call.instance_id,
            _epoch(request),
            call.checkpoint_id if call.HasField("checkpoint_id") else None,
            wait_ms=call.wait_ms,
            known_signal_id=call.known_signal_id,
        )
        return pb.RpcResponse(poll_signals=encode_signal_poll(call.instance_id, poll))

    async def signal_ack(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Acknowledge a signal; `acknowledged` false changes nothing."""
        call = request.signal_ack
        if not call.acknowledged:
            logger.info("instance %s declined signal %s", call.instance_id, call.signal_type)
            return pb.RpcResponse(signal_ack=pb.SignalAckResponse(success=False))
        status = await self._service.acknowledge_signal(
            call.instance_id,
            _epoch(request),
            decode_signal_type(call.signal_type),
            call.signal_id or None,
        )
        return pb.RpcResponse(signal_ack=pb.SignalAckResponse(success=True, status=encode_status(status)))

    async def retry_attempt(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Record that an attempt is about to run."""
        call = request.retry_attempt
        outcome = await self._service.record_retry_attempt(
            call.instance_id,
            _epoch(request),
            call.checkpoint_id,
            decode_retry_attempt(call),
            suspend_above_ms=call.suspend_above_ms if call.HasField("suspend_above_ms") else None,
        )
        return pb.RpcResponse(retry_attempt=encode_retry_outcome(outcome))

    async def wait_signal(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Wait durably for a custom signal."""
        call = request.wait_signal
        wait = await self._service.wait_signal(
            call.instance_id,
            _epoch(request),
            call.checkpoint_id,
            timeout_ms=call.timeout_ms if call.HasField("timeout_ms") else None,
            suspend_above_ms=call.suspend_above_ms if call.HasField("suspend_above_ms") else None,
            beside=WaitsBeside(
                call.beside_wake_at_ms if call.HasField("beside_wake_at_ms") else None,
                tuple(call.beside_checkpoint_ids),
            ),
        )
        return pb.RpcResponse(wait_signal=encode_signal_wait(wait))
