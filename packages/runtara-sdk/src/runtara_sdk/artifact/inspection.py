"""Telling what kind of artifact a file is, from its first bytes."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runtara_sdk.artifact.native_format import ARCHIVE_MANIFEST_NAME, Layer, read_native_index
from runtara_sdk.errors import InvalidInputError

ArtifactKind = Literal["native", "python", "executable"]

_MAXIMUM_MANIFEST_BYTES = 1 << 20
_MAXIMUM_DIRECTORY_BYTES = 8 << 20
"""Most bytes of the list of entries of a python archive: read as a whole, it takes many times the room in memory."""

_ACCEPTED = (
    "a native artifact, a python archive (a zip file with runtara-manifest.json) or an executable "
    "(an ELF file or a script that begins with #!)"
)
_BEGINNING_BYTES = 256
_ELF_HEADER_BYTES = 52
_ELF_BIG_ENDIAN = 2
_ELF_PROGRAMS = (2, 3)
"""Executables, and position-independent ones."""

_KNOWN_CONTENT = (
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"{", "JSON"),
    (b"PK\x03\x04", "a zip file without runtara-manifest.json"),
    (b"MZ", "a Windows executable"),
    (b"\xcf\xfa\xed\xfe", "a macOS executable"),
    (b"\0asm", "a WebAssembly module"),
)


@dataclass(frozen=True, slots=True)
class ArtifactInfo:
    """What a file is.

    Attributes:
        kind: `native` (made by the native target), `python` (made by the python target) or `executable` (any other
            program: an ELF file or a `#!` script).
        manifest: the manifest that the compiler wrote; None for `executable`.
        layers: the layers of a `native` artifact, else empty.
        size: length of the file in bytes.
    """

    kind: ArtifactKind
    manifest: dict[str, Any] | None
    layers: tuple[Layer, ...]
    size: int


def inspect_artifact(path: Path) -> ArtifactInfo:
    """Say what the file `path` is; reads its beginning only and verifies no digest.

    Raises `InvalidInputError` naming what was found and what is accepted.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InvalidInputError(f"{path}: not a regular file; expected {_ACCEPTED}")
        with path.open("rb") as stream:
            index = read_native_index(stream, str(path))
            if index is not None:
                return ArtifactInfo("native", index.manifest, index.layers, size)
            stream.seek(0)
            beginning = stream.read(_BEGINNING_BYTES)
        if zipfile.is_zipfile(path):
            manifest = _archive_manifest(path)
            if manifest is not None:
                return ArtifactInfo("python", manifest, (), size)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if beginning.startswith((b"\x7fELF", b"#!")):
        if (reason := _why_not_startable(beginning)) is not None:
            raise InvalidInputError(f"{path}: {reason}; expected {_ACCEPTED}")
        return ArtifactInfo("executable", None, (), size)
    raise InvalidInputError(f"{path}: found {_describe(beginning)}; expected {_ACCEPTED}")


class _Archive(io.BufferedReader):
    """A zip file whose list of entries is read at once only while it is short."""

    def read(self, size: int | None = -1, /) -> bytes:
        too_many = _MAXIMUM_DIRECTORY_BYTES + 1
        content = super().read(too_many if size is None or size < 0 else min(size, too_many))
        if len(content) == too_many:
            raise zipfile.BadZipFile(f"its list of entries has more than {_MAXIMUM_DIRECTORY_BYTES} bytes")
        return content


def _archive_manifest(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb", buffering=0) as file, zipfile.ZipFile(_Archive(file)) as archive:
            entry = archive.getinfo(ARCHIVE_MANIFEST_NAME)
            if entry.file_size > _MAXIMUM_MANIFEST_BYTES:
                raise InvalidInputError(
                    f"{path}: {ARCHIVE_MANIFEST_NAME} has {entry.file_size} bytes, "
                    f"at most {_MAXIMUM_MANIFEST_BYTES} are allowed"
                )
            document = json.loads(archive.read(entry))
    except KeyError:
        return None
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise InvalidInputError(f"{path}: {ARCHIVE_MANIFEST_NAME} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInputError(f"{path}: {ARCHIVE_MANIFEST_NAME} is not a JSON object")
    return document


def _why_not_startable(beginning: bytes) -> str | None:
    """What keeps the system from starting an ELF file or a script, whatever machine it is for."""
    if beginning.startswith(b"#!"):
        line = beginning[2:].partition(b"\n")[0].strip(b" \t\r\0")
        return None if line.startswith(b"/") else "its first line, #!, names no program by its whole path"
    if len(beginning) < _ELF_HEADER_BYTES:
        return "an ELF file that ends within its header"
    order: Literal["little", "big"] = "big" if beginning[5] == _ELF_BIG_ENDIAN else "little"
    if int.from_bytes(beginning[16:18], order) not in _ELF_PROGRAMS:
        return "an ELF file that is no program (an object file or a memory dump)"
    return None


def _describe(beginning: bytes) -> str:
    if not beginning:
        return "an empty file"
    for prefix, description in _KNOWN_CONTENT:
        if beginning.startswith(prefix):
            return description
    return f"unknown content (first bytes {beginning[:8].hex(' ')})"
