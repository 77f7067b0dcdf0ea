"""Unpacking native artifacts: verified, atomic, one directory per digest.

A layer is written to a hidden directory beside its place and renamed when it is complete, so that a directory named
by a digest is always whole: killed or parallel unpackers leave at most a hidden directory, which the next one sweeps.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

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

_MAXIMUM_DEPTH = 100
"""Deepest path of a member: what walks through a layer or removes it may recurse."""

_MAXIMUM_HEADER_BYTES = 1 << 20
"""Most bytes of what stands before a member, such as a long name: it is read into memory as a whole."""

_HEADERS = frozenset(
    {
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    }
)
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


@dataclass(frozen=True, slots=True)
class LayerMember:
    """A file or directory of a layer, to be read before the next one is asked for.

    Attributes:
        parts: of its path inside the layer.
        is_executable: whether the owner may execute it.
        content: what the file holds; None for a directory.
    """

    parts: tuple[str, ...]
    is_executable: bool
    content: IO[bytes] | None

    def write(self, target: Path) -> Path:
        """Make it below the directory `target`; returns its path there. Raises `FileExistsError` for a second file."""
        # No links of any kind: with regular files and directories alone, a name without ".." cannot lead outside.
        destination = target.joinpath(*self.parts)
        if self.content is None:
            destination.mkdir(parents=True, exist_ok=True)
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: a second member of the same name is refused instead of written through.
        descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if self.is_executable else 0o644)
        with os.fdopen(descriptor, "wb") as output:
            shutil.copyfileobj(self.content, output, _CHUNK_BYTES)
        return destination


class _MemberHeader(tarfile.TarInfo):
    """Refuses, before it is read, what a few compressed bytes could make grow without bound in memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _HEADERS and self.size > _MAXIMUM_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._refuse_sparse()
        # The one place through which every header passes; the stubs do not tell of it.
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member

    def _refuse_sparse(self, *_: object) -> None:
        raise tarfile.ReadError("a sparse member")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def read_layer(stream: BinaryIO, name: str) -> Iterator[LayerMember]:
    """The members of a gzip-compressed layer.

    Raises `InvalidInputError`, which begins with `name`, when it is no layer or has members that do not belong there.
    """
    members = 0
    total_bytes = 0
    with layer_errors(name), tarfile.open(fileobj=stream, mode="r|gz", tarinfo=_MemberHeader) as archive:
        for member in archive:
            members += 1
            total_bytes += member.size
            if members > MAXIMUM_LAYER_MEMBERS or total_bytes > MAXIMUM_LAYER_BYTES:
                raise InvalidInputError(
                    f"{name}: more than {MAXIMUM_LAYER_MEMBERS} members or {MAXIMUM_LAYER_BYTES} bytes"
                )
            yield _member(archive, member, name)


@contextlib.contextmanager
def layer_errors(name: str) -> Iterator[None]:
    """Say of content that cannot be read what it is: `InvalidInputError`; an `OSError` of the disk stays one."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidInputError(f"{name}: not a gzip-compressed tar file: {error}") from None


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> LayerMember:
    parts = tuple(member.name.split("/"))
    if member.name.startswith("/") or any(part in {"", ".."} for part in parts) or "\0" in member.name:
        raise InvalidInputError(f"{name}: refused the member {member.name!r}: its path leaves the layer")
    if len(parts) > _MAXIMUM_DEPTH:
        raise InvalidInputError(f"{name}: refused a member inside of more than {_MAXIMUM_DEPTH} directories")
    content = archive.extractfile(member) if member.isreg() else None
    if content is None and not member.isdir():
        raise InvalidInputError(f"{name}: refused the member {member.name!r}: neither a file nor a directory")
    return LayerMember(parts, bool(member.mode & 0o100), content)


def _unpack_layer(stream: BinaryIO, layer: Layer, layers_directory: Path, name: str) -> Path:
    target = layers_directory / layer.directory_name
    if target.is_dir():
        return target
    verify_layer(stream, layer, name)
    _sweep_abandoned(layers_directory)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=layers_directory))
    try:
        _extract(LayerSection(stream, layer), unfinished, f"{name}: {layer.role} layer")
        open_to_all(unfinished)
        try:
            unfinished.rename(target)
        except OSError:
            # Somebody else was faster: a directory is only ever renamed to this name when it is complete.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def open_to_all(directory: Path) -> None:
    """Let programs of other users read a layer, whatever the umask is."""
    for parent, _, files in os.walk(directory):
        for path in (Path(parent), *(Path(parent, name) for name in files)):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def verify_layer(stream: BinaryIO, layer: Layer, name: str) -> None:
    """Compare a layer inside an artifact with its digest; raises `InvalidInputError` when it has another."""
    digest = hashlib.sha256()
    section = LayerSection(stream, layer)
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


class LayerSection:
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


def _extract(section: LayerSection, target: Path, name: str) -> None:
    for member in read_layer(cast("BinaryIO", section), name):
        try:
            with layer_errors(name):
                member.write(target)
        except FileExistsError:
            raise appears_twice(member, name) from None


def appears_twice(member: LayerMember, name: str) -> InvalidInputError:
    """The refusal of a layer that has two files of one path."""
    return InvalidInputError(f"{name}: refused the member {'/'.join(member.parts)!r}: it appears twice")
