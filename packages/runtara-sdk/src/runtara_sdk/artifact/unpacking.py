"""Unpacking native artifacts: verified, atomic, one directory per digest.

A layer is written to a hidden directory beside its place and renamed when it is complete, so that a directory named
by a digest is always whole: killed or parallel unpackers leave at most a hidden directory, which the next one sweeps.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from runtara_sdk.artifact.native_format import (
    BASE_EXECUTABLE,
    Layer,
    LayerRole,
    read_native_index,
)
from runtara_sdk.errors import InvalidInputError

MAXIMUM_LAYER_MEMBERS = 50_000
MAXIMUM_LAYER_BYTES = 2 << 30
"""Most bytes that a layer may have once unpacked."""

_CHUNK_BYTES = 1 << 20
_UNFINISHED_PREFIX = ".unpacking-"
_ABANDONED_AFTER_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class NativeLayout:
    """A native artifact unpacked.

    Attributes:
        command: starts the workflow; the caller may append arguments.
        base_digest: SHA-256 of the base layer, hexadecimal.
        workflow_digest: SHA-256 of the workflow layer, hexadecimal.
        base_directory: the base layer unpacked; `system/` in it has the shared libraries that a bare container needs.
        workflow_directory: the workflow layer unpacked.
    """

    command: list[str]
    base_digest: str
    workflow_digest: str
    base_directory: Path
    workflow_directory: Path


def unpack_native_artifact(path: Path, layers_directory: Path) -> NativeLayout:
    """Unpack the layers of `path` that `layers_directory` does not hold yet.

    Raises `InvalidInputError` when the file is no native artifact, a layer does not have its digest, or a layer has
    members that do not belong into one; nothing of such a layer is kept. Raises `OSError` when the disk fails.
    """
    with path.open("rb") as stream:
        index = read_native_index(stream, str(path))
        if index is None:
            raise InvalidInputError(f"{path}: not a native artifact; compile the scenario with --target native")
        layers_directory.mkdir(parents=True, exist_ok=True)
        base = index.layer(LayerRole.BASE)
        workflow = index.layer(LayerRole.WORKFLOW)
        base_directory = _unpack_layer(stream, base, layers_directory, str(path))
        workflow_directory = _unpack_layer(stream, workflow, layers_directory, str(path))
    executable = base_directory / BASE_EXECUTABLE
    if not executable.is_file():
        raise InvalidInputError(f"{path}: its base layer has no {BASE_EXECUTABLE}; compile the scenario again")
    return NativeLayout(
        command=[str(executable), str(workflow_directory)],
        base_digest=base.digest,
        workflow_digest=workflow.digest,
        base_directory=base_directory,
        workflow_directory=workflow_directory,
    )


def _unpack_layer(stream: BinaryIO, layer: Layer, layers_directory: Path, name: str) -> Path:
    target = layers_directory / layer.directory_name
    if target.is_dir():
        return target
    _verify_digest(stream, layer, name)
    _sweep_abandoned(layers_directory)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=layers_directory))
    try:
        _extract(_Section(stream, layer), unfinished, f"{name}: {layer.role} layer")
        _open_to_all(unfinished)
        try:
            unfinished.rename(target)
        except OSError:
            # Somebody else was faster: a directory is only ever renamed to this name when it is complete.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _open_to_all(directory: Path) -> None:
    """Let programs of other users read a layer, whatever the umask is."""
    for parent, _, files in os.walk(directory):
        for path in (Path(parent), *(Path(parent, name) for name in files)):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _verify_digest(stream: BinaryIO, layer: Layer, name: str) -> None:
    digest = hashlib.sha256()
    section = _Section(stream, layer)
    while chunk := section.read(_CHUNK_BYTES):
        digest.update(chunk)
    if digest.hexdigest() != layer.digest:
        raise InvalidInputError(
            f"{name}: the {layer.role} layer is damaged: its SHA-256 is {digest.hexdigest()}, "
            f"expected {layer.digest}; copy or compile the artifact again"
        )


def _sweep_abandoned(layers_directory: Path) -> None:
    oldest = time.time() - _ABANDONED_AFTER_SECONDS
    for leftover in layers_directory.glob(f"{_UNFINISHED_PREFIX}*"):
        try:
            if leftover.stat().st_mtime < oldest:
                shutil.rmtree(leftover, ignore_errors=True)
        except FileNotFoundError:
            continue


class _Section:
    """A readable view of one layer inside the artifact."""

    def __init__(self, stream: BinaryIO, layer: Layer) -> None:
        self._stream = stream
        self._remaining = layer.size
        stream.seek(layer.offset)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes of what is left of the layer."""
        wanted = self._remaining if size < 0 else min(size, self._remaining)
        data = self._stream.read(wanted)
        self._remaining -= len(data)
        return data


def _extract(section: _Section, target: Path, name: str) -> None:
    members = 0
    total_bytes = 0
    try:
        with tarfile.open(fileobj=cast("BinaryIO", section), mode="r|gz") as archive:
            for member in archive:
                members += 1
                total_bytes += member.size
                if members > MAXIMUM_LAYER_MEMBERS or total_bytes > MAXIMUM_LAYER_BYTES:
                    raise InvalidInputError(
                        f"{name}: more than {MAXIMUM_LAYER_MEMBERS} members or {MAXIMUM_LAYER_BYTES} bytes"
                    )
                _extract_member(archive, member, target, name)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidInputError(f"{name}: not a gzip-compressed tar file: {error}") from None


def _extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, name: str) -> None:
    parts = member.name.split("/")
    if member.name.startswith("/") or any(part in {"", ".."} for part in parts) or "\0" in member.name:
        raise InvalidInputError(f"{name}: refused the member {member.name!r}: its path leaves the layer")
    # No links of any kind: with regular files and directories alone, a name without ".." cannot lead outside.
    destination = target.joinpath(*parts)
    if member.isdir():
        destination.mkdir(parents=True, exist_ok=True)
        return
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise InvalidInputError(f"{name}: refused the member {member.name!r}: neither a file nor a directory")
    destination.parent.mkdir(parents=True, exist_ok=True)
    # O_EXCL: a second member of the same name is refused instead of written through.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(destination, flags, 0o755 if member.mode & 0o100 else 0o644)
    except FileExistsError:
        raise InvalidInputError(f"{name}: refused the member {member.name!r}: it appears twice") from None
    with os.fdopen(descriptor, "wb") as output:
        shutil.copyfileobj(content, output, _CHUNK_BYTES)
