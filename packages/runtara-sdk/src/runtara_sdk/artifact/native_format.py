"""The native artifact, format 1: one executable file.

    #!/bin/sh
    # runtara-native-artifact 1 header=16384 index=812
    ...the rest of a shell script, padded with newlines to `header` bytes...
    {"format": 1, "manifest": {...}, "layers": [...]}      `index` bytes of JSON
    workflow layer, base layer                             gzip-compressed tar files, addressed by SHA-256

Offsets in the index count from the start of the file. The script holds the same digests, offsets and sizes, so that it
needs no JSON parser; it unpacks each layer once into `CACHE/sha256-<digest>` and starts the base with the workflow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO

from runtara_sdk.errors import InvalidInputError

FORMAT = 1
HEADER_BYTES = 16_384
"""Size of the shell script with its padding."""
MAXIMUM_INDEX_BYTES = 1 << 20
ARCHIVE_MANIFEST_NAME = "runtara-manifest.json"
"""Name of the manifest inside a `python` archive and inside a workflow layer."""
BASE_EXECUTABLE = "runtara-base"
"""Name of the executable inside a base layer; its first argument is the directory of a workflow layer."""
MEDIA_TYPE = "application/vnd.runtara.layer.v1.tar+gzip"

_MAGIC = re.compile(rb"\A#!/bin/sh\n# runtara-native-artifact (\d{1,4}) header=(\d{1,6}) index=(\d{1,8})\n")
_DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")
_PROBE_BYTES = 128


class LayerRole(StrEnum):
    """What a layer of a native artifact holds."""

    WORKFLOW = "workflow"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Layer:
    """One compressed tar file inside an artifact.

    Attributes:
        role: what it holds.
        digest: SHA-256 of the compressed bytes, 64 lower-case hexadecimal digits.
        offset: where it begins in the artifact, in bytes.
        size: length of the compressed bytes.
    """

    role: LayerRole
    digest: str
    offset: int
    size: int

    @property
    def directory_name(self) -> str:
        """The name of the directory that holds this layer unpacked."""
        return f"sha256-{self.digest}"

    def as_json(self) -> dict[str, Any]:
        """The layer's entry in the index."""
        return {
            "role": self.role.value,
            "digest": f"sha256:{self.digest}",
            "offset": self.offset,
            "size": self.size,
            "mediaType": MEDIA_TYPE,
        }


@dataclass(frozen=True, slots=True)
class NativeIndex:
    """What a native artifact says of itself: its manifest and its layers, one of each role."""

    manifest: dict[str, Any]
    layers: tuple[Layer, ...]

    def layer(self, role: LayerRole) -> Layer:
        """The layer of this role."""
        return next(layer for layer in self.layers if layer.role is role)

    def encode(self) -> bytes:
        """The index as it stands in the file: one line of JSON, the same bytes for the same content."""
        document = {
            "format": FORMAT,
            "manifest": self.manifest,
            "layers": [layer.as_json() for layer in self.layers],
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def magic_line(index_bytes: int) -> str:
    """The second line of the file, which tells readers where the index is."""
    return f"# runtara-native-artifact {FORMAT} header={HEADER_BYTES} index={index_bytes}"


def read_native_index(stream: BinaryIO, name: str, *, file_bytes: int | None = None) -> NativeIndex | None:
    """Read the index of the file open at its start; None when the file is no native artifact.

    `file_bytes` is the size of the artifact where the layers are not in this file.

    Raises `InvalidInputError` naming `name` when it is one, but of an unknown format or damaged.
    """
    magic = _MAGIC.match(stream.read(_PROBE_BYTES))
    if magic is None:
        return None
    version, header_bytes, index_bytes = (int(group) for group in magic.groups())
    if version != FORMAT:
        raise InvalidInputError(
            f"{name}: native artifact of format {version}, this version reads format {FORMAT}: "
            "compile the scenario again"
        )
    if index_bytes > MAXIMUM_INDEX_BYTES:
        raise _damaged(name, f"its index has {index_bytes} bytes, at most {MAXIMUM_INDEX_BYTES} are allowed")
    stream.seek(header_bytes)
    raw = stream.read(index_bytes)
    if len(raw) != index_bytes:
        raise _damaged(name, "it ends within its index")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise _damaged(name, "its index is not JSON") from None
    if file_bytes is None:
        file_bytes = stream.seek(0, 2)
    return _index_from_json(document, name, file_bytes=file_bytes, content_start=header_bytes + index_bytes)


def _index_from_json(document: Any, name: str, *, file_bytes: int, content_start: int) -> NativeIndex:
    if not isinstance(document, Mapping) or not isinstance(document.get("manifest"), dict):
        raise _damaged(name, "its index has no manifest")
    entries = document.get("layers")
    if not isinstance(entries, list) or len(entries) != len(LayerRole):
        raise _damaged(name, "its index must list one workflow layer and one base layer")
    layers = tuple(_layer_from_json(entry, name) for entry in entries)
    if {layer.role for layer in layers} != set(LayerRole):
        raise _damaged(name, "its index must list one workflow layer and one base layer")
    for layer in layers:
        if layer.offset < content_start or layer.size < 1 or layer.offset + layer.size > file_bytes:
            raise _damaged(name, f"its {layer.role} layer lies outside of the file (truncated?)")
    first, second = sorted(layers, key=lambda layer: layer.offset)
    if first.offset + first.size > second.offset:
        raise _damaged(name, "its layers overlap")
    return NativeIndex(manifest=document["manifest"], layers=layers)


def _layer_from_json(entry: Any, name: str) -> Layer:
    try:
        algorithm, _, digest = str(entry["digest"]).partition(":")
        layer = Layer(
            role=LayerRole(entry["role"]), digest=digest, offset=int(entry["offset"]), size=int(entry["size"])
        )
    except (KeyError, TypeError, ValueError):
        raise _damaged(name, "its index has a malformed layer") from None
    if algorithm != "sha256" or not _DIGEST.match(layer.digest):
        raise _damaged(name, "its index has a layer without a SHA-256 digest")
    return layer


def _damaged(name: str, reason: str) -> InvalidInputError:
    return InvalidInputError(f"{name}: damaged native artifact: {reason}; copy or compile it again")
