"""The file in which a program finds its input, however long that is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol

from runtara_core.models import MAX_INPUT_PART_BYTES, InputPart, LaunchClaim
from runtara_sdk.errors import StorageError


class ReadInput(Protocol):
    """Gives a part of the input of an instance, as `CoreManagement.read_input` does."""

    async def __call__(self, instance_id: str, *, offset: int, limit_bytes: int) -> InputPart | None:
        """The part; None when the instance is unknown."""


async def write_input(run_directory: Path, claim: LaunchClaim, read_input: ReadInput | None) -> Path:
    """Write the run's input where the program finds it; a program never sees half a file.

    A long input, which the claim does not carry, is read part by part. Directory and file are their owner's alone, for
    the input may hold secrets.
    Raises `StorageError` when the input cannot be had as a whole, `OSError`.
    """
    path = run_directory / "input.json"
    descriptor, temporary = await asyncio.to_thread(_begin, run_directory)
    try:
        try:
            if claim.input_bytes is None:
                await asyncio.to_thread(_write, descriptor, claim.input)
            else:
                await _write_parts(descriptor, claim.instance_id, claim.input_bytes, read_input)
        finally:
            os.close(descriptor)
        await asyncio.to_thread(temporary.replace, path)
    finally:
        temporary.unlink(missing_ok=True)  # half-written, on a full disk
    return path


def _begin(run_directory: Path) -> tuple[int, Path]:
    run_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    run_directory.chmod(0o700)  # one of an earlier version
    (run_directory / "workspace").mkdir(exist_ok=True, mode=0o700)
    temporary = run_directory / f".input.json.{os.getpid()}"
    temporary.unlink(missing_ok=True)  # of a killed process that had our pid
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), temporary


async def _write_parts(descriptor: int, instance_id: str, size: int, read_input: ReadInput | None) -> None:
    offset = 0
    while offset < size:
        part = None
        if read_input is not None:
            part = await read_input(instance_id, offset=offset, limit_bytes=MAX_INPUT_PART_BYTES)
        if part is None or not part.data:
            raise StorageError(f"the input of instance {instance_id} ends after {offset} of {size} bytes")
        await asyncio.to_thread(_write, descriptor, part.data)
        offset += len(part.data)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
