"""The layers of native artifacts, each once however many artifacts have it: compressed, and unpacked for launches.

`DATA_DIR/layers/` has three entries for a layer, named by the SHA-256 of its compressed bytes and written as a whole:

* `sha256-DIGEST.tar.gz`, the compressed layer, from which artifacts are put together again;
* `sha256-DIGEST`, the layer unpacked, which programs run from;
* `sha256-DIGEST.files`, the SHA-256 of each unpacked file, behind a line with the SHA-256 of the rest.

The compressed layer is the truth. An unpacked file that is damaged, missing or foreign is mended from it, each in one
step, so that programs that run from the directory are not disturbed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runtara_sdk.artifact import Layer
from runtara_sdk.artifact.unpacking import appears_twice, layer_errors, open_to_all, read_layer
from runtara_sdk.errors import InvalidInputError, StorageError

from runtara_environment.data_directory_modes import make_passable
from runtara_environment.registry.durable_files import (
    flush_directory,
    new_file,
    put_aside,
    remove,
    remove_leftovers,
)
from runtara_environment.registry.verified_files import (
    Fingerprint,
    VerifiedFiles,
    copy_hashed,
    fingerprint,
    hash_file,
    hash_stream,
)

logger = logging.getLogger(__name__)

_ENTRY = re.compile(r"sha256-([0-9a-f]{64})(\.tar\.gz|\.files)?\Z")
_UNPACKING_PREFIX = ".unpacking-"


class ArtifactUnavailableError(StorageError):
    """The artifact of an image is not on this host, or not as it should be. Another host may have it."""


@dataclass(frozen=True, slots=True)
class _UnpackedFile:
    sha256: str
    is_executable: bool


_Files = dict[str, _UnpackedFile]


class LayerStore:
    """The layers below one data directory. All methods block; several threads may use them."""

    def __init__(self, directory: Path, verified: VerifiedFiles) -> None:
        self.directory = directory
        self._verified = verified
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._files: dict[str, _Files] = {}
        self._seen: dict[str, list[tuple[str, Fingerprint]]] = {}

    def packed(self, digest: str) -> Path:
        """The file of a compressed layer."""
        return self.directory / f"sha256-{digest}.tar.gz"

    def unpacked(self, digest: str) -> Path:
        """The directory of an unpacked layer."""
        return self.directory / f"sha256-{digest}"

    def _entries(self, digest: str) -> tuple[Path, ...]:
        return (self.packed(digest), self._listing(digest), self.unpacked(digest))

    def keep(self, stream: BinaryIO, layer: Layer, name: str) -> None:
        """Have the layer of an artifact here, compressed and unpacked; what is damaged here is mended.

        Raises `InvalidInputError` when it does not have its digest or is no layer, `OSError` when the disk fails. Then
        the caller has to `remove` what nobody needs.
        """
        make_passable(self.directory)
        self.directory.chmod(0o755)  # whatever the umask is: programs may run as other users
        with self._locks[layer.digest]:
            self._distrust(layer.digest)
            if not self._is_packed(layer):
                with new_file(self.packed(layer.digest), mode=0o444) as target:
                    stream.seek(layer.offset)
                    found = copy_hashed(stream, target, layer.size)
                    if found != layer.digest:
                        raise InvalidInputError(
                            f"{name}: the {layer.role} layer is damaged: its SHA-256 is {found}, expected "
                            f"{layer.digest}; copy or compile the artifact again"
                        )
                self._verified.note(self.packed(layer.digest), layer.digest)
            self._ensure_unpacked(layer.digest, f"{name}: {layer.role} layer")

    def require_unpacked(self, digest: str, name: str) -> Path:
        """The directory of a layer with all its files as they should be; `name` says whose layer it is.

        Raises `ArtifactUnavailableError` when it is damaged and cannot be mended, `OSError` when the disk fails.
        """
        try:
            with self._locks[digest]:
                return self._ensure_unpacked(digest, name)
        except InvalidInputError as error:
            # It was read as a whole when it was registered.
            raise ArtifactUnavailableError(f"damaged: {error.message}: register the image again") from None

    def digests(self) -> list[str]:
        """The layers of which anything is here."""
        names = self.directory.iterdir() if self.directory.is_dir() else ()
        return sorted({match[1] for path in names if (match := _ENTRY.match(path.name))})

    def listed(self, digest: str) -> dict[Path, str]:
        """The unpacked files of a layer with the SHA-256 of each; none where that is not known yet."""
        place = self.unpacked(digest)
        return {place / path: file.sha256 for path, file in (self._read_listing(digest) or {}).items()}

    def has(self, digest: str) -> bool:
        """Whether anything of a layer is here."""
        return any(each.exists() for each in self._entries(digest))

    def remove_leftovers(self) -> None:
        """Remove what killed processes have left."""
        if self.directory.is_dir():
            remove_leftovers(self.directory, _UNPACKING_PREFIX)

    def remove(self, digest: str) -> None:
        """Remove a layer that no artifact has."""
        with self._locks[digest]:
            for path in self._entries(digest):
                if path.exists():
                    remove(put_aside(path))
            self._distrust(digest)

    def distrust(self, digest: str) -> None:
        """Have all files of a layer hashed when it is used next."""
        with self._locks[digest]:
            self._distrust(digest)

    def _distrust(self, digest: str) -> None:
        self._verified.forget(self.packed(digest))
        self._verified.forget_below(self.unpacked(digest))
        self._forget(digest)

    def _forget(self, digest: str) -> None:
        self._files.pop(digest, None)
        self._seen.pop(digest, None)

    def _listing(self, digest: str) -> Path:
        return self.directory / f"sha256-{digest}.files"

    def _is_packed(self, layer: Layer) -> bool:
        try:
            return self._verified.matches(self.packed(layer.digest), layer.digest)
        except FileNotFoundError:
            return False

    def _ensure_unpacked(self, digest: str, name: str) -> Path:
        place = self.unpacked(digest)
        if not place.is_dir():
            self._forget(digest)
            self._unpack(digest, name)
            return place
        seen = self._seen.get(digest)
        if seen is not None and _is_unchanged(seen):
            return place
        files = self._files.get(digest) or self._read_listing(digest) or self._make_listing(digest, name)
        self._files[digest] = files
        while True:
            # Seen before it is looked into: what is written to meanwhile is looked into again the next time.
            seen = _all_below(place)
            wrong = [relative for relative, file in files.items() if not self._is_as_listed(place / relative, file)]
            foreign = _walk(place) - files.keys()
            if not wrong and not foreign:
                self._seen[digest] = seen
                return place
            if wrong:
                self._mend(digest, wrong, name)
            for each in sorted(foreign):
                logger.warning("%s does not belong there and is removed", place / each)
                (place / each).unlink(missing_ok=True)

    def _is_as_listed(self, path: Path, file: _UnpackedFile) -> bool:
        try:
            return self._verified.matches(path, file.sha256) and os.access(path, os.X_OK if file.is_executable else 0)
        except FileNotFoundError:
            return False
        except (IsADirectoryError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False  # the disk has lost it: it is written anew, elsewhere on the disk

    def _unpack(self, digest: str, name: str) -> None:
        self.remove_leftovers()
        unfinished = Path(tempfile.mkdtemp(prefix=_UNPACKING_PREFIX, dir=self.directory))
        files: _Files = {}
        try:
            with self._open_packed(digest, name) as stream:
                for member in read_layer(stream, name):
                    try:
                        with layer_errors(name):
                            path = member.write(unfinished)
                    except FileExistsError:
                        raise appears_twice(member, name) from None
                    if member.content is not None:
                        files["/".join(member.parts)] = _UnpackedFile(hash_file(path), member.is_executable)
            open_to_all(unfinished)
            self._write_listing(digest, files)
            place = self.unpacked(digest)
            try:
                unfinished.rename(place)
            except OSError:
                # Another process was faster: a directory is only ever renamed to this name when it is complete.
                if not place.is_dir():
                    raise
                return
            for relative, file in files.items():
                self._verified.note(place / relative, file.sha256)
            self._files[digest] = files
            self._seen[digest] = _all_below(place)
            flush_directory(self.directory)
        finally:
            remove(unfinished)

    def _make_listing(self, digest: str, name: str) -> _Files:
        """What a layer holds that was unpacked without a listing, read from the compressed layer."""
        files: _Files = {}
        with self._open_packed(digest, name) as stream:
            for member in read_layer(stream, name):
                if member.content is not None:
                    with layer_errors(name):
                        content = hash_stream(member.content)
                    files["/".join(member.parts)] = _UnpackedFile(content, member.is_executable)
        self._write_listing(digest, files)
        return files

    def _mend(self, digest: str, wrong: list[str], name: str) -> None:
        place = self.unpacked(digest)
        logger.warning(
            "%d files of %s are damaged, for example %s: mended from the packed layer", len(wrong), place, wrong[0]
        )
        missing = set(wrong)
        with self._open_packed(digest, name) as stream:
            for member in read_layer(stream, name):
                relative = "/".join(member.parts)
                if member.content is None or relative not in missing:
                    continue
                target = place / relative
                if target.is_dir() and not target.is_symlink():
                    shutil.rmtree(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.parent.chmod(0o755)
                with new_file(target, mode=0o755 if member.is_executable else 0o644) as file, layer_errors(name):
                    shutil.copyfileobj(member.content, file)
                missing.discard(relative)
        files = self._files[digest]
        still_wrong = [relative for relative in wrong if not self._is_as_listed(place / relative, files[relative])]
        if still_wrong:
            # The listing says something else than the layer, which has its digest.
            self._listing(digest).unlink(missing_ok=True)
            self._forget(digest)
            raise InvalidInputError(f"{name}: {place / still_wrong[0]} is not what it should be")

    def _open_packed(self, digest: str, name: str) -> BinaryIO:
        path = self.packed(digest)
        try:
            if not self._verified.matches(path, digest):
                raise InvalidInputError(f"{name}: the layer {path} does not have its SHA-256")
            return path.open("rb")
        except FileNotFoundError:
            raise InvalidInputError(f"{name}: the layer {path} is missing on this host") from None

    def _write_listing(self, digest: str, files: _Files) -> None:
        content = json.dumps({path: [file.sha256, file.is_executable] for path, file in sorted(files.items())})
        with new_file(self._listing(digest), mode=0o644) as file:
            file.write(f"{hashlib.sha256(content.encode()).hexdigest()}\n{content}".encode())

    def _read_listing(self, digest: str) -> _Files | None:
        """None when there is none, or it is damaged: it can be made again."""
        try:
            checksum, _, content = self._listing(digest).read_text(encoding="utf-8").partition("\n")
            if checksum != hashlib.sha256(content.encode()).hexdigest():
                return None
            return {path: _UnpackedFile(*entry) for path, entry in json.loads(content).items()}
        except (FileNotFoundError, UnicodeDecodeError):
            return None


def _is_unchanged(seen: list[tuple[str, Fingerprint]]) -> bool:
    try:
        return all(fingerprint(path) == before for path, before in seen)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _walk(place: Path) -> set[str]:
    """The files of a directory, relative; whatever is no directory counts as one."""
    return {
        str(Path(parent, name).relative_to(place))
        for parent, directories, names in os.walk(place)
        for name in (*names, *(each for each in directories if Path(parent, each).is_symlink()))
    }


def _all_below(place: Path) -> list[tuple[str, Fingerprint]]:
    """All files of a layer with what tells a change, and its directories, which change when an entry comes or goes."""
    return [
        (path, fingerprint(path))
        for parent, _, names in os.walk(place)
        for path in (parent, *(f"{parent}/{name}" for name in names))
    ]
