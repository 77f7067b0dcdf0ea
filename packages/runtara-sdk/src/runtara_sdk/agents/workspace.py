"""The workspace of an instance: a directory that outlives the processes of the instance on their host.

The environment makes it with the run directory of the instance and removes it with the instance. Capabilities see
relative paths with slashes; nothing leads out of the directory. A file appears under its name once it is whole and on
disk, so a step that was killed in the middle leaves the old file or the new one. What is being written lies under
`.partial` and counts against the limit, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from runtara_sdk.agents.errors import AgentError
from runtara_sdk.settings import EnvironmentReader

if TYPE_CHECKING:
    from hashlib import _Hash

DIRECTORY_VARIABLE = "RUNTARA_WORKSPACE_DIR"
LIMIT_VARIABLE = "RUNTARA_MAX_WORKSPACE_BYTES"
DEFAULT_LIMIT_BYTES = 10 * 1024**3

UNAVAILABLE = "WORKSPACE_UNAVAILABLE"
PATH_INVALID = "WORKSPACE_PATH_INVALID"
FULL = "WORKSPACE_FULL"
IO_ERROR = "WORKSPACE_IO_ERROR"
FILE_NOT_FOUND = "FILE_NOT_FOUND"
FILE_ALREADY_EXISTS = "FILE_ALREADY_EXISTS"
FILE_IS_DIRECTORY = "FILE_IS_DIRECTORY"

PARTIAL = ".partial"
"""Where files lie while they are written, and what agents note of their work with them."""

JOURNAL_PREFIX = "journal-"
"""Begins the names of notes that outlive a process."""

_LONGEST_PATH_BYTES = 1024
_LONGEST_NAME_BYTES = 255
_CHUNK_BYTES = 1024 * 1024
_RESUMABLE = "resume-"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the workspace, as `WorkspaceFile.commit` or `Workspace.describe` tells of it.

    Attributes:
        path: relative to the workspace, with slashes.
        size: bytes.
        sha256: hexadecimal; None where the content was not read.
    """

    path: str
    size: int
    sha256: str | None = None

    def reference(self, *, mime_type: str | None = None) -> dict[str, Any]:
        """The JSON form that other steps take instead of the content: `{"$file": path, "size", ...}`."""
        document: dict[str, Any] = {"$file": self.path, "filename": PurePosixPath(self.path).name, "size": self.size}
        if self.sha256 is not None:
            document["sha256"] = self.sha256
        if mime_type is not None:
            document["mimeType"] = mime_type
        return document


class WorkspaceFile:
    """A file that is being written; it appears under its name by `commit`, on the disk and whole.

    Attributes:
        offset: bytes that an earlier process had written before it died, and that this one goes on after.
    """

    def __init__(self, workspace: Workspace, name: str, target: Path, partial: Path, *, overwrite: bool) -> None:
        self._workspace = workspace
        self._name = name
        self._target = target
        self._partial = partial
        self._overwrite = overwrite
        self._hash = hashlib.sha256()
        self._committed: StoredFile | None = None
        self._stream: BinaryIO = cast("BinaryIO", partial.open("ab"))
        self.offset = self._stream.tell()
        self.size = self.offset
        if self.offset:
            with partial.open("rb") as written:
                _feed(self._hash, written)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append bytes; raises `AgentError` (WORKSPACE_FULL) before the limit would be passed."""
        count = memoryview(data).nbytes
        self._workspace.take(count)
        with translated(self._name):
            self._stream.write(data)
        self._hash.update(data)
        self.size += count
        return count

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of everything written so far."""
        return self._hash.hexdigest()

    def restart(self) -> None:
        """Drop what was written; a resumed transfer turned out not to fit."""
        with translated(self._name):
            self._stream.seek(0)
            self._stream.truncate(0)
        self._workspace.give_back(self.size)
        self._hash = hashlib.sha256()
        self.size = self.offset = 0

    def commit(self) -> StoredFile:
        """Put the file under its name; raises `AgentError` when it may not replace what is there."""
        if self._committed is not None:
            return self._committed
        with translated(self._name):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._workspace.place(self._name, self._partial, self._target, overwrite=self._overwrite)
        self._committed = StoredFile(self._name, self.size, self._hash.hexdigest())
        return self._committed

    def close(self, *, keep: bool) -> None:
        """End the writing; what was not committed is removed unless it is kept for a later process."""
        with contextlib.suppress(OSError):
            self._stream.close()
        if self._committed is None and not keep:
            self._partial.unlink(missing_ok=True)


class Workspace:
    """The files of one instance.

    Args:
        root: the directory; made when it is first used.
        limit_bytes: bound of all files together.
    """

    def __init__(self, root: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.root = root
        self.limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._used: int | None = None
        self._writers = 0

    @classmethod
    def from_environment(cls, reader: EnvironmentReader) -> Workspace | None:
        """The workspace that RUNTARA_WORKSPACE_DIR names, bounded by RUNTARA_MAX_WORKSPACE_BYTES; None without one."""
        root = reader.optional_text(DIRECTORY_VARIABLE)
        if root is None:
            return None
        limit = reader.integer(LIMIT_VARIABLE, DEFAULT_LIMIT_BYTES, minimum=1)
        return cls(Path(root).absolute(), limit_bytes=limit)

    def path(self, name: str) -> Path:
        """Where the file or directory `name` lies; raises `AgentError` when the path leads out of the workspace."""
        self._prepare()
        parts = _parts(name)
        path = self.root.joinpath(*parts)
        resolved = path.resolve()
        if resolved != self.root.resolve() and not resolved.is_relative_to(self.root.resolve()):
            raise _invalid(name, "it leads out of the workspace through a link")
        return path

    def describe(self, name: str, *, with_hash: bool = False) -> StoredFile:
        """A file that is there; raises `AgentError` when it is not."""
        with self.open(name) as stream:
            size = os.fstat(stream.fileno()).st_size
            if not with_hash:
                return StoredFile("/".join(_parts(name)), size)
            digest = hashlib.sha256()
            _feed(digest, stream)
            return StoredFile("/".join(_parts(name)), size, digest.hexdigest())

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; raises `AgentError` when there is none."""
        path = self.path(name)
        with translated(name):
            if path.is_dir():
                raise AgentError.permanent(
                    FILE_IS_DIRECTORY, f"{shown(name)} is a directory", attributes={"path": name}
                )
            return cast("BinaryIO", path.open("rb"))

    @contextlib.contextmanager
    def create(self, name: str, *, overwrite: bool = True, resume_token: str | None = None) -> Iterator[WorkspaceFile]:
        """Write a file; call `commit` on it when it is whole. Directories on the way are made.

        Args:
            name: path in the workspace.
            overwrite: whether a file that is there is replaced.
            resume_token: says what is being fetched (its size, time, entity tag): a process that died in the middle is
                followed by one that goes on at `offset`, if the token is the same and the machine has not restarted.
                Without a token, writing begins anew.
        """
        target = self.path(name)
        if not _parts(name):
            raise _invalid(name, "it names the workspace itself")
        with translated(name):
            if target.is_dir():
                raise AgentError.permanent(
                    FILE_IS_DIRECTORY, f"{shown(name)} is a directory", attributes={"path": name}
                )
            if not overwrite and target.exists():
                raise _exists(name)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._enter()
            try:
                partial = self._partial(name, resume_token)
                file = WorkspaceFile(self, "/".join(_parts(name)), target, partial, overwrite=overwrite)
                try:
                    yield file
                finally:
                    file.close(keep=resume_token is not None)
            finally:
                self._leave()

    def place(self, name: str, source: Path, target: Path, *, overwrite: bool) -> None:
        """Give a complete file its name, durably; used by `WorkspaceFile.commit`."""
        with self._lock:
            replaced = target.stat().st_size if target.is_file() else 0
            if overwrite:
                source.replace(target)
            else:
                try:
                    os.link(source, target)
                except FileExistsError:
                    raise _exists(name) from None
                source.unlink()
            self.give_back(replaced)
        sync_directory(target.parent)

    def take(self, count: int) -> None:
        """Count bytes that are about to be written; raises `AgentError` when the limit would be passed."""
        with self._lock:
            used = self._measure() if self._used is None else self._used
            if used + count > self.limit_bytes:
                raise AgentError.permanent(
                    FULL,
                    f"the workspace may hold {self.limit_bytes} bytes, and {used} are used: remove files that are no "
                    f"longer needed, or raise {LIMIT_VARIABLE}",
                    attributes={"limit_bytes": self.limit_bytes},
                )
            self._used = used + count

    def give_back(self, count: int) -> None:
        """Count bytes that are gone."""
        with self._lock:
            if self._used is not None:
                self._used = max(0, self._used - count)

    def forget_usage(self) -> None:
        """Have the files measured again: something was removed or moved without this object."""
        with self._lock:
            if not self._writers:
                self._used = None

    def _enter(self) -> None:
        with self._lock:
            if not self._writers:
                self._used = None  # agents may have written by themselves
            self._writers += 1

    def _leave(self) -> None:
        with self._lock:
            self._writers -= 1

    def _prepare(self) -> None:
        with self._lock:
            partial = self.root / PARTIAL
            if partial.is_dir():
                return
            with translated(""):
                self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
                partial.mkdir(exist_ok=True, mode=0o700)

    def clean(self) -> None:
        """Remove what an earlier process left half-written and nobody goes on with. For the start of a process."""
        with contextlib.suppress(OSError):
            for entry in (self.root / PARTIAL).iterdir():
                if not entry.name.startswith((_RESUMABLE, JOURNAL_PREFIX)):
                    shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()

    def _partial(self, name: str, resume_token: str | None) -> Path:
        directory = self.root / PARTIAL
        if resume_token is None:
            return directory / secrets.token_hex(16)
        family = f"{_RESUMABLE}{_digest('/'.join(_parts(name)))}-"
        path = directory / f"{family}{_digest(f'{_boot_id()} {resume_token}')}"
        for other in directory.glob(f"{family}*"):
            if other != path:  # of a file that has changed since
                other.unlink(missing_ok=True)
        return path

    def _measure(self) -> int:
        total, pending = 0, [self.root]
        while pending:
            with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    else:
                        with contextlib.suppress(OSError):
                            total += entry.stat(follow_symlinks=False).st_size
        return total


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn errors of the file system into `AgentError`s that name the path, never the place on the host."""
    try:
        yield
    except FileNotFoundError:
        text = f"there is no file {shown(name)} in the workspace, which stays on the host that wrote it"
        raise AgentError.permanent(FILE_NOT_FOUND, text, attributes={"path": name}) from None
    except FileExistsError:
        raise _exists(name) from None
    except (IsADirectoryError, NotADirectoryError) as error:
        text = f"{shown(name)}: {error.strerror}"
        raise AgentError.permanent(FILE_IS_DIRECTORY, text, attributes={"path": name}) from None
    except OSError as error:
        text = f"{shown(name)}: {error.strerror or type(error).__name__}"
        raise AgentError.transient(IO_ERROR, text, attributes={"path": name}) from None


def unavailable() -> AgentError:
    """The error of a call that needs a workspace where there is none."""
    return AgentError.permanent(
        UNAVAILABLE, f"this call needs a workspace, and there is none: set {DIRECTORY_VARIABLE} to a directory"
    )


def sync_directory(path: Path) -> None:
    """Have the names in a directory survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_stream(
    source: BinaryIO, write: Callable[[bytes], object], check: Callable[[], object], *, limit_bytes: int | None = None
) -> int:
    """Copy to the end in bounded pieces, calling `check` between them; returns the bytes copied.

    Raises `AgentError` (FILE_TOO_LARGE) when the source holds more than `limit_bytes`.
    """
    copied = 0
    while piece := source.read(_CHUNK_BYTES):
        copied += len(piece)
        if limit_bytes is not None and copied > limit_bytes:
            raise AgentError.permanent(
                "FILE_TOO_LARGE", f"more than {limit_bytes} bytes", attributes={"limit_bytes": limit_bytes}
            )
        write(piece)
        check()
    return copied


def shown(name: str) -> str:
    """A path for a message."""
    return repr(name if len(name) <= 200 else f"{name[:200]}...")


def _parts(name: str) -> tuple[str, ...]:
    """The names of a relative path; raises `AgentError` for one that is none."""
    if "\0" in name or not name.isprintable():
        raise _invalid(name, "it holds characters that cannot be printed")
    if name.startswith("/"):
        raise _invalid(name, "it is absolute; paths are relative to the workspace")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _invalid(name, "it holds '..'")
    if parts and parts[0] == PARTIAL:
        raise _invalid(name, f"{PARTIAL} is where files lie while they are written")
    try:
        too_long = len(name.encode()) > _LONGEST_PATH_BYTES or any(
            len(part.encode()) > _LONGEST_NAME_BYTES for part in parts
        )
    except UnicodeEncodeError:
        raise _invalid(name, "it is not Unicode text") from None
    if too_long:
        raise _invalid(name, "it is too long")
    return parts


def _invalid(name: str, reason: str) -> AgentError:
    return AgentError.permanent(
        PATH_INVALID, f"path {shown(name)}: {reason}", attributes={"path": name[:200].encode(errors="replace").decode()}
    )


def _is_directory(name: str) -> AgentError:
    return AgentError.permanent(FILE_IS_DIRECTORY, f"{shown(name)} is a directory", attributes={"path": name})


def _exists(name: str) -> AgentError:
    return AgentError.permanent(
        FILE_ALREADY_EXISTS, f"{shown(name)} exists, and overwrite is false", attributes={"path": name}
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _feed(digest: _Hash, stream: BinaryIO) -> None:
    while piece := stream.read(_CHUNK_BYTES):
        digest.update(piece)


@lru_cache(maxsize=1)
def _boot_id() -> str:
    """Changes with every start of the machine, after which the end of an unfinished file may be missing on the disk."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)
