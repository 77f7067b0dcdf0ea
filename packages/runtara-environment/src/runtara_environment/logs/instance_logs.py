"""Finds the output of an instance on this host, and waits for more of it.

The directory of an instance lies below that of its tenant and carries the ids of database and instance, so finding it
says whose it is. Core is only asked about an instance while no launch of it is recorded. Output that is on another host
is asked for there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runtara_core.management import CoreManagement
from runtara_core.models import Instance
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InstanceNotFoundError, InvalidInputError, LogsNotFoundError, LogsOnOtherHostError
from runtara_sdk.models import InstanceStatus

from runtara_environment.launch_table import Launch, LaunchTable
from runtara_environment.logs.elsewhere import LogsElsewhere
from runtara_environment.logs.models import STREAMS, LogPiece, LogRequest
from runtara_environment.logs.output_files import has_exit, launch_epochs, read_output
from runtara_environment.supervision.run_directory import find_run_directory

MAX_PIECE_BYTES = 1024 * 1024
MAX_TAIL_LINES = 100_000
MAX_WAIT_MS = 25_000
_MAX_HELD = 256
_MAX_HELD_OF_ONE = 64
_LOOK_SECONDS = 0.2
_LOOK_AT_INSTANCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known of the launches of an instance.

    Attributes:
        directory: the run directory on this host, when there is one.
        local: the launches whose files are in it, oldest first.
        rows: the launches that are recorded as running, newest first.
        instance: the row of core, when it was asked.
    """

    directory: Path | None
    local: tuple[int, ...]
    rows: tuple[Launch, ...]
    instance: Instance | None

    @property
    def newest(self) -> int:
        """The newest launch that is known to have begun, wherever; 0 when there is none.

        A claim that nothing came of has a number, too, but no files: only that of a running instance counts.
        """
        known = [*self.local[-1:], *(row.epoch for row in self.rows)]
        if self.instance is not None and (
            self.instance.status is InstanceStatus.RUNNING or (self.instance.status.is_terminal and not known)
        ):
            known.append(self.instance.epoch)
        return max(known, default=0)

    @property
    def counted(self) -> int:
        """The number of the newest claim."""
        known = [*self.local[-1:], *(row.epoch for row in self.rows)]
        return max(known, default=0) if self.instance is None else max(self.instance.epoch, *known, 0)

    def after(self, epoch: int) -> int | None:
        """The next launch that is known to have begun."""
        known = {*self.local, *(row.epoch for row in self.rows)}
        if self.instance is not None and self.instance.status is InstanceStatus.RUNNING:
            known.add(self.instance.epoch)
        return min((each for each in known if each > epoch), default=None)

    def runs(self, epoch: int) -> bool:
        """Whether a launch is recorded as running."""
        return any(row.epoch == epoch for row in self.rows)


class InstanceLogs:
    """The output of the instances of one environment."""

    def __init__(
        self,
        core: CoreManagement,
        launches: LaunchTable,
        data_dir: Path,
        host_id: str,
        clock: Clock,
        elsewhere: LogsElsewhere,
    ) -> None:
        self._core = core
        self._elsewhere = elsewhere
        self._launches = launches
        self._data_dir = data_dir
        self._host_id = host_id
        self._clock = clock
        self._held: Counter[str] = Counter()

    async def read(self, request: LogRequest) -> LogPiece:
        """A part of the output of a launch; waits up to `wait_ms`, at most 25 s, while there is nothing new.

        Raises `InstanceNotFoundError`, `LogsNotFoundError` when no host that is there has the output,
        `LogsOnOtherHostError` when the launch ran under another host that cannot be asked, `InvalidInputError`.
        """
        _check(request)
        give_up_ms = self._clock.now_ms() + min(request.wait_ms, MAX_WAIT_MS)
        with self._hold(request.tenant_id or "") as may_wait:
            while True:
                place = await self._place(request)
                left_ms = give_up_ms - self._clock.now_ms() if may_wait else 0
                piece = await self._answer(request, place, max(0, left_ms))
                left_ms = give_up_ms - self._clock.now_ms() if may_wait else 0
                if not _is_worth_waiting(piece) or left_ms <= 0:
                    return piece
                await self._wait_for_change(request, place, piece, left_ms / 1000)

    async def _place(self, request: LogRequest) -> _Place:
        rows = tuple(await self._launches.of_instance(request.instance_id))
        tenant_id, instance = request.tenant_id, None
        if tenant_id is None or not rows or await self._find(tenant_id, request.instance_id) is None:
            instance = await self._instance(request)
            tenant_id = instance.tenant_id
        directory = await self._find(tenant_id, request.instance_id)
        local = () if directory is None else tuple(await asyncio.to_thread(launch_epochs, directory))
        return _Place(directory, local, rows, instance)

    async def _answer(self, request: LogRequest, place: _Place, wait_ms: int) -> LogPiece:
        if request.only_here:
            return await self._read(request, place)
        if request.epoch is None and place.counted > place.newest:
            found = await self._elsewhere.of_any(request)
            if found is not None and found.epoch > place.newest:
                return found
        try:
            return await self._read(request, place)
        except LogsNotFoundError as error:
            host_id = error.host_id if isinstance(error, LogsOnOtherHostError) else None
            found = await self._found_elsewhere(request, place, host_id, wait_ms)
            if found is None and request.follows:
                found = await self._missing(request, place, may_come_back=host_id is not None)
            if found is None:
                raise
            return found

    async def _found_elsewhere(
        self, request: LogRequest, place: _Place, host_id: str | None, wait_ms: int
    ) -> LogPiece | None:
        asked = replace(request, epoch=request.epoch or place.newest)
        if host_id is not None:
            return await self._elsewhere.of_host(asked, host_id, wait_ms=wait_ms)
        return await self._elsewhere.of_any(asked)

    async def _missing(self, request: LogRequest, place: _Place, *, may_come_back: bool) -> LogPiece | None:
        """What is said of a launch that no host has anything of; None when there was no such launch."""
        instance = await self._instance(request)
        epoch = request.epoch or place.newest
        is_over = instance.status.is_terminal
        if epoch == instance.epoch + 1 and is_over:  # the one that was waited for does not come
            return LogPiece(instance.epoch, 0, b"", ended=True, status=instance.status)
        if epoch > instance.epoch:
            return None
        if may_come_back and epoch == instance.epoch and not is_over:
            return LogPiece(epoch, request.offset or 0, b"")  # its host may be there again, or another takes its work
        next_epoch = epoch + 1 if instance.epoch > epoch else None
        return LogPiece(epoch, 0, b"", ended=True, next_epoch=next_epoch, status=instance.status, missing=True)

    async def _instance(self, request: LogRequest) -> Instance:
        instance = await self._core.get_instance(request.instance_id, tenant_id=request.tenant_id)
        if instance is None:
            raise InstanceNotFoundError(f"instance {request.instance_id} not found")
        return instance

    async def _find(self, tenant_id: str, instance_id: str) -> Path | None:
        database_id = await self._launches.database_id()
        return await asyncio.to_thread(find_run_directory, self._data_dir, tenant_id, instance_id, database_id)

    async def _read(self, request: LogRequest, place: _Place) -> LogPiece:
        epoch = place.newest if request.epoch is None else request.epoch
        if request.only_here and request.epoch is None:
            if not place.local:
                raise LogsNotFoundError(f"no output of instance {request.instance_id} is on this host")
            epoch = place.local[-1]
        status = None if place.instance is None else place.instance.status
        if epoch == 0:
            return LogPiece(0, 0, b"", status=status)
        if place.directory is None or epoch not in place.local:
            self._require_here(request.instance_id, epoch, place)
            # It was claimed or intended just now: its files come at any moment.
            return LogPiece(epoch, 0, b"", status=status)
        runs = place.runs(epoch) and not await asyncio.to_thread(has_exit, place.directory, epoch)
        try:
            part = await asyncio.to_thread(
                read_output,
                place.directory,
                epoch,
                request.stream,
                offset=request.offset,
                tail_lines=request.tail_lines,
                limit_bytes=min(request.limit_bytes, MAX_PIECE_BYTES),
            )
        except OSError as error:
            raise LogsNotFoundError(
                f"the output of launch {epoch} of instance {request.instance_id} cannot be read: {error.strerror}"
            ) from error
        ended = not runs and part.offset + len(part.data) >= part.end
        next_epoch = place.after(epoch) if ended or not request.follows else None
        if ended and request.follows:
            instance = await self._instance(request)
            status, next_epoch = instance.status, epoch + 1 if instance.epoch > epoch else None
        asked = 0 if request.offset is None and request.tail_lines is None else request.offset
        return LogPiece(
            epoch=epoch,
            offset=part.offset,
            data=part.data,
            dropped=part.offset != asked if asked is not None else False,
            ended=ended,
            next_epoch=next_epoch,
            status=status,
        )

    def _require_here(self, instance_id: str, epoch: int, place: _Place) -> None:
        """Raise unless the files of a launch, which are missing, are still to come on this host."""
        instance = place.instance
        if epoch == place.counted + 1 and (instance is None or not instance.status.is_terminal):
            return
        row = next((row for row in place.rows if row.epoch == epoch), None)
        if row is not None and row.host_id != self._host_id:
            raise LogsOnOtherHostError(
                f"launch {epoch} of instance {instance_id} runs under the host {row.host_id}, and its output is there. "
                "The environment of that host does not answer",
                host_id=row.host_id,
            )
        if row is not None:
            return
        if instance is not None and instance.epoch == epoch and instance.lease_owner is not None:
            host_id = instance.lease_owner.partition("/")[0]
            if host_id == self._host_id:
                return
            raise LogsOnOtherHostError(
                f"launch {epoch} of instance {instance_id} begins under the host {host_id}, and its output is there. "
                "The environment of that host does not answer",
                host_id=host_id,
            )
        raise LogsNotFoundError(
            f"the output of launch {epoch} of instance {instance_id} is on no host that is there: there was no such "
            "launch, its host is gone, or its files have been removed; the end of standard error is in the status"
        )

    async def _wait_for_change(self, request: LogRequest, place: _Place, piece: LogPiece, seconds: float) -> None:
        """Until the stream has grown or the launch has ended, or it is time to look at the instance again."""
        if piece.ended or place.directory is None or piece.epoch not in place.local:
            is_near = not piece.ended and (request.only_here or not place.runs(piece.epoch))
            await self._clock.sleep(min(seconds, _LOOK_SECONDS if is_near else _LOOK_AT_INSTANCE_SECONDS))
            return
        for _ in range(int(min(seconds, _LOOK_AT_INSTANCE_SECONDS) / _LOOK_SECONDS) + 1):
            await self._clock.sleep(_LOOK_SECONDS)
            if await asyncio.to_thread(_has_changed, place.directory, piece, request.stream):
                return

    @contextmanager
    def _hold(self, who: str) -> Iterator[bool]:
        """Whether one more may wait."""
        may_wait = self._held.total() < _MAX_HELD and self._held[who] < (_MAX_HELD_OF_ONE if who else _MAX_HELD)
        if may_wait:
            self._held[who] += 1
        try:
            yield may_wait
        finally:
            if may_wait:
                self._held[who] -= 1
                self._held += Counter()  # forgets those that hold none


def _check(request: LogRequest) -> None:
    if request.stream not in STREAMS:
        raise InvalidInputError(f"stream {request.stream!r} is not known: use stdout or stderr")
    if request.offset is not None and request.tail_lines is not None:
        raise InvalidInputError("offset and tail_lines are both given: give one of them")
    if request.tail_lines is not None and request.tail_lines > MAX_TAIL_LINES:
        raise InvalidInputError(f"tail_lines is {request.tail_lines}: at most {MAX_TAIL_LINES} are accepted")
    if request.limit_bytes < 1:
        raise InvalidInputError("limit_bytes is 0: give at least 1")


def _is_worth_waiting(piece: LogPiece) -> bool:
    if piece.data or piece.dropped or piece.next_epoch is not None:
        return False
    if piece.ended or piece.epoch == 0:
        return piece.status is None or not piece.status.is_terminal
    return True


def _has_changed(directory: Path, piece: LogPiece, stream: str) -> bool:
    if has_exit(directory, piece.epoch):
        return True
    try:
        part = read_output(directory, piece.epoch, stream, offset=piece.offset, tail_lines=None, limit_bytes=1)
    except OSError:
        return True
    return part.offset != piece.offset or bool(part.data)
