"""How an artifact lies in its directory, `DATA_DIR/images/SHA256/`.

* `artifact`: the whole file, of an executable or a python archive. Earlier versions kept native artifacts so, too. Such
  an artifact is taken apart when it is launched.
* `remainder`: of a native artifact all bytes outside of its layers, in their order. Its index, which lies at the
  beginning, says which layers belong where; these are in the layer store. Together they are the artifact, byte for
  byte. The last 64 bytes of this file are the SHA-256 of the rest.
* `used-by-DATABASE`: an empty file for each database whose images have the artifact.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runtara_sdk.artifact import Layer, NativeIndex
from runtara_sdk.artifact.native_format import read_native_index
from runtara_sdk.errors import InvalidInputError

from runtara_environment.registry.durable_files import new_file

MAX_REMAINDER_BYTES = 16 << 20
"""Most bytes that an artifact may have outside of its layers."""

_NO_BOUND = 1 << 62
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_USED_BY = "used-by-"
_CHECKSUM_BYTES = 64


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of an artifact that lie in one file."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ArtifactDirectory:
    """The directory of one artifact."""

    path: Path

    @property
    def whole(self) -> Path:
        """The artifact as one file."""
        return self.path / "artifact"

    @property
    def remainder(self) -> Path:
        """What a native artifact has beside its layers."""
        return self.path / "remainder"

    def exists(self) -> bool:
        """Whether the artifact is here, and not only its directory."""
        return self.whole.exists() or self.remainder.exists()

    def mark_used(self, database_id: str) -> None:
        """Say that images of a database have the artifact."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o755)
        (self.path / f"{_USED_BY}{database_id}").touch()

    def unmark(self, database_id: str) -> None:
        """Say that no image of a database has the artifact."""
        (self.path / f"{_USED_BY}{database_id}").unlink(missing_ok=True)

    def users(self) -> frozenset[str]:
        """The databases whose images have the artifact; none are known of one that an earlier version stored."""
        with contextlib.suppress(FileNotFoundError):
            return frozenset(each.name.removeprefix(_USED_BY) for each in self.path.glob(f"{_USED_BY}*"))
        return frozenset()

    def index(self) -> NativeIndex | None:
        """What a native artifact says of its layers; None for an artifact of another kind.

        Raises `InvalidInputError` when it is damaged, `FileNotFoundError` when there is no artifact.
        """
        with contextlib.suppress(FileNotFoundError), self.remainder.open("rb") as stream:
            return read_native_index(stream, str(self.remainder), file_bytes=_NO_BOUND)
        with self.whole.open("rb") as stream:
            return read_native_index(stream, str(self.whole))

    def keep_remainder(self, stream: BinaryIO, layers: tuple[Layer, ...], size: int) -> None:
        """Write what an artifact of `size` bytes has outside of its layers, which `require_short_remainder` bounds."""
        kept = bytearray()
        end = 0
        for layer in _in_order(layers):
            stream.seek(end)
            kept += stream.read(layer.offset - end)
            end = layer.offset + layer.size
        stream.seek(end)
        kept += stream.read(size - end)
        with new_file(self.remainder, mode=0o444) as target:
            target.write(kept)
            target.write(hashlib.sha256(kept).hexdigest().encode())

    def remainder_is_sound(self) -> bool:
        """Whether the remainder has its SHA-256; raises `OSError`."""
        content = self.remainder.read_bytes()
        kept, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        return hashlib.sha256(kept).hexdigest().encode() == checksum

    def segments(self, packed: Callable[[str], Path]) -> list[Segment]:
        """The files that make the artifact, in the order of its bytes; `packed` tells where a compressed layer is.

        Raises `InvalidInputError` when it is damaged, `FileNotFoundError` when a part is missing.
        """
        index = self.index()
        if index is None or self.whole.exists():
            return [Segment(self.whole, 0, self.whole.stat().st_size)]
        left = self.remainder.stat().st_size - _CHECKSUM_BYTES
        segments: list[Segment] = []
        taken = end = 0
        for layer in _in_order(index.layers):
            gap = layer.offset - end
            segments.append(Segment(self.remainder, taken, gap))
            segments.append(Segment(packed(layer.digest), 0, layer.size))
            taken += gap
            end = layer.offset + layer.size
        segments.append(Segment(self.remainder, taken, left - taken))
        for segment in segments:
            segment.path.stat()
        return segments


def require_short_remainder(layers: tuple[Layer, ...], size: int) -> None:
    """Refuse an artifact that has more outside of its layers than is kept in memory; raises `InvalidInputError`."""
    remainder = size - sum(layer.size for layer in layers)
    if layers and remainder > MAX_REMAINDER_BYTES:
        raise InvalidInputError(
            f"the artifact has {remainder} bytes outside of its layers, over {MAX_REMAINDER_BYTES}: compile it again"
        )


def _in_order(layers: tuple[Layer, ...]) -> list[Layer]:
    return sorted(layers, key=lambda each: each.offset)


def artifact_directories(images: Path) -> Iterator[ArtifactDirectory]:
    """All artifacts below a directory, in no order; names that are no SHA-256 are none of ours."""
    with contextlib.suppress(FileNotFoundError):
        for each in images.iterdir():
            if _DIGEST.match(each.name):
                yield ArtifactDirectory(each)
