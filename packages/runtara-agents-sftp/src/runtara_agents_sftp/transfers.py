"""Moving bytes: downloads with a bounded number of requests under way, uploads that are there as a whole or not at all.

What the library does by itself is not enough: without `prefetch` each block waits for the one before, with a plain
`prefetch` all blocks of a file are asked for at once, which makes some servers stall. See `wire`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import StoredFile

from runtara_agents_sftp.failures import (
    ALREADY_EXISTS,
    CREATE_FAILED,
    FILE_NOT_FOUND,
    FILE_TOO_LARGE,
    IS_DIRECTORY,
    READ_ERROR,
    WRITE_ERROR,
    failed,
    translated,
)
from runtara_agents_sftp.paths import remote_path
from runtara_agents_sftp.session import SftpSession

if TYPE_CHECKING:
    import paramiko

    from runtara_agents_sftp.wire import WireClient

_PIECE_BYTES = 4 * 255 * 1024  # whole requests of the largest size
_TEMPORARY = ".runtara-"
POSIX_RENAME = "posix-rename@openssh.com"


class RemoteFile:
    """A file of the server that is about to be read.

    Attributes:
        size: bytes, as the server says.
        modified_time: seconds since 1970.
    """

    def __init__(self, client: WireClient, file: paramiko.SFTPFile, path: str, status: paramiko.SFTPAttributes) -> None:
        self._client = client
        self._file = file
        self._path = path
        self.size = status.st_size or 0
        self.modified_time = int(status.st_mtime or 0)

    @property
    def token(self) -> str:
        """Changes when the file does."""
        return f"{self._path} {self.size} {self.modified_time}"

    def has_changed(self) -> bool:
        """Whether the file is another than when it was opened."""
        with translated(READ_ERROR, self._path, transient=True):
            status = self._file.stat()
        return (status.st_size or 0, int(status.st_mtime or 0)) != (self.size, self.modified_time)

    def pieces(self, context: CapabilityContext, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The content from an offset on.

        Raises:
            AgentError: the server fails, or says nothing for too long.
        """
        end = self.size if length is None else min(self.size, offset + length)
        if offset >= end:
            return
        with translated(READ_ERROR, self._path, transient=True):
            for piece in self._client.read_pieces(self._file, offset, end):
                offset += len(piece)
                yield piece
                context.check()
            if offset < end:
                text = f"the file ends {end - offset} bytes early: it has changed"
                raise failed(READ_ERROR, self._path, text, transient=True)


@contextlib.contextmanager
def opened(session: SftpSession, path: str) -> Iterator[RemoteFile]:
    """Open a file of the server for reading.

    Raises:
        AgentError: nothing is there, it is a directory, or the server does not allow it.
    """
    full = remote_path(session, path)
    with translated(FILE_NOT_FOUND, path):
        status = session.client.stat(full)
        if stat.S_ISDIR(status.st_mode or 0):
            raise failed(IS_DIRECTORY, path, "it is a directory")
        if status.st_mode is not None and stat.S_IFMT(status.st_mode) not in (0, stat.S_IFREG):
            raise failed(FILE_NOT_FOUND, path, "it is no file but a device, a pipe or a socket")
        file = session.client.open(full, "rb", bufsize=0)
    try:
        yield RemoteFile(session.client, file, path, status)
    finally:
        with contextlib.suppress(Exception):  # the connection may be gone
            file.close()


def download(
    session: SftpSession,
    path: str,
    target: str,
    context: CapabilityContext,
    *,
    overwrite: bool = True,
    limit_bytes: int | None = None,
) -> StoredFile:
    """Read a file of the server into the workspace; a process that died in the middle is gone on with.

    Raises:
        AgentError: see `opened`; the file is larger than `limit_bytes`, or changes while it is read.
    """
    with opened(session, path) as remote:
        if limit_bytes is not None and remote.size > limit_bytes:
            raise too_large(path, remote.size, limit_bytes)
        workspace = context.require_workspace()
        with workspace.create(target, overwrite=overwrite, resume_token=remote.token) as file:
            if file.offset > remote.size:
                file.restart()
            for piece in remote.pieces(context, offset=file.offset):
                file.write(piece)
            if file.size != remote.size:
                file.restart()
                text = f"{file.size} bytes came, and the server says {remote.size}"
                raise failed(READ_ERROR, path, text, transient=True)
            if remote.has_changed():
                file.restart()
                raise failed(READ_ERROR, path, "it was written while it was read", transient=True)
            return file.commit()


def too_large(path: str, size: int, limit: int) -> AgentError:
    """The error of a file that is too large for what is asked."""
    return AgentError.permanent(
        FILE_TOO_LARGE,
        f"{path!r} has {size} bytes, and at most {limit} are read: download it into the workspace (`save_to`), or "
        "raise max_bytes",
        attributes={"path": path, "limit_bytes": limit},
    )


def upload(
    session: SftpSession,
    path: str,
    source: BinaryIO,
    size: int,
    context: CapabilityContext,
    *,
    overwrite: bool = True,
    create_dirs: bool = False,
    atomic: bool = True,
    mode: int | None = None,
    verify_size: bool = True,
) -> int:
    """Write a file of the server; returns the bytes written.

    It is written under a name of its own in the same directory, synced, compared in size, and then renamed: a death at
    any point leaves the old file or the new one. What a death leaves under that name, the next run of the step
    replaces. A file that is replaced hands its permissions on, unless `mode` says otherwise.

    Raises:
        AgentError: the directory is missing, the file is there and may not be replaced, or the server fails.
    """
    full = remote_path(session, path)
    directory = posixpath.dirname(full) or "."
    if create_dirs:
        make_directories(session, directory, path)
    with translated(CREATE_FAILED, path):
        existing = _status(session, full)
        if existing is not None and stat.S_ISDIR(existing.st_mode or 0):
            raise failed(IS_DIRECTORY, path, "it is a directory")
        if existing is not None and not overwrite:
            if _holds_same(session, path, existing.st_size or 0, source, size, context):
                return size  # put there by an earlier run of this step, or by somebody who did the same
            raise failed(ALREADY_EXISTS, path, "it exists, and overwrite is false")
    if mode is None and existing is not None and existing.st_mode is not None:
        mode, must_set_mode = stat.S_IMODE(existing.st_mode), False
    else:
        must_set_mode = mode is not None
    content = _Content(source, size, mode, must_set_mode=must_set_mode, verify_size=verify_size)
    if not atomic:
        _write(session, full, path, content, context)
        return size
    temporary = posixpath.join(directory, _temporary_name(full, context))
    try:
        _write(session, temporary, path, content, context)
        with translated(CREATE_FAILED, path):
            put_in_place(session, temporary, full, overwrite=overwrite)
    except BaseException as error:
        with contextlib.suppress(Exception):  # the connection may be gone; the next run replaces what is left
            session.client.remove(temporary)
        if not overwrite and isinstance(error, AgentError) and error.code == CREATE_FAILED:
            with translated(CREATE_FAILED, path):
                if _status(session, full) is not None:
                    raise failed(ALREADY_EXISTS, path, "it came to exist meanwhile") from None
        raise
    return size


def make_directories(session: SftpSession, full: str, path: str) -> int:
    """Make a directory and those above it; returns how many were made."""
    missing: list[str] = []
    with translated(CREATE_FAILED, path):
        while full not in ("", "/", ".") and (status := _status(session, full)) is None:
            missing.append(full)
            full = posixpath.dirname(full)
        if full not in ("", "/", ".") and status is not None and not stat.S_ISDIR(status.st_mode or 0):
            raise failed(CREATE_FAILED, path, f"{full!r} is a file")
        for each in reversed(missing):
            try:
                session.client.mkdir(each)
            except OSError:
                if _status(session, each) is None:  # else another call has made it meanwhile
                    raise
    return len(missing)


@dataclass(frozen=True)
class _Content:
    """What is written, and how: `mode` is that of the new file; None leaves it to the server."""

    source: BinaryIO
    size: int
    mode: int | None
    must_set_mode: bool
    verify_size: bool


def _write(session: SftpSession, full: str, path: str, content: _Content, context: CapabilityContext) -> None:
    client = session.client
    with translated(CREATE_FAILED, path):
        file = _opened_for_writing(session, full)
        if content.mode is not None:  # before there is anything to read
            try:
                file.chmod(content.mode)
            except OSError:
                if content.must_set_mode:
                    raise
    try:
        with translated(WRITE_ERROR, path, transient=True):
            written = client.write_pieces(file, _pieces(content.source, context))
            client.sync(file)
            file.close()
            there = client.stat(full).st_size if content.verify_size else written
        if written != content.size or there != content.size:
            text = f"{there} bytes are there of {content.size}"
            raise failed(WRITE_ERROR, path, text, transient=True)
    finally:
        with contextlib.suppress(Exception):  # closed above, or the connection is gone
            file.close()


def _opened_for_writing(session: SftpSession, full: str) -> paramiko.SFTPFile:
    try:
        return session.client.open(full, "wb", bufsize=0)
    except PermissionError:
        if not posixpath.basename(full).startswith(_TEMPORARY):
            raise
        session.client.remove(full)  # an earlier run left it, with a mode that forbids to write
        return session.client.open(full, "wb", bufsize=0)


def _pieces(source: BinaryIO, context: CapabilityContext) -> Iterator[bytes]:
    while piece := source.read(_PIECE_BYTES):
        yield piece
        context.check()


def put_in_place(session: SftpSession, source: str, target: str, *, overwrite: bool) -> None:
    """Rename, over what is at the target or not.

    Raises:
        OSError: the server refuses.
    """
    client = session.client
    if not overwrite:
        client.rename(source, target)  # refuses to replace
        return
    try:
        client.posix_rename(source, target)
    except OSError as error:
        if POSIX_RENAME in client.extensions or error.errno == errno.ENOENT:
            raise
    else:
        return
    aside = posixpath.join(posixpath.dirname(target), f"{_TEMPORARY}{_digest(target)}.old")
    with client.undisturbed():
        try:
            client.rename(source, target)  # replaces with some servers, and is enough where nothing is
        except OSError:
            _replace_in_two_steps(client, source, target, aside)
        if _is_there(client, aside):  # of this, or of a run that died before it came here
            with contextlib.suppress(OSError):
                client.remove(aside)


def _replace_in_two_steps(client: WireClient, source: str, target: str, aside: str) -> None:
    """For servers that cannot replace by renaming: the old file lies beside the new one until that has its name.

    After a death in between, the next run of the step goes on from there.
    """
    if _is_there(client, target):
        if _is_there(client, aside):
            client.remove(aside)
        client.rename(target, aside)
    try:
        client.rename(source, target)
    except BaseException:
        if _is_there(client, aside):
            client.rename(aside, target)
        raise


def _is_there(client: WireClient, full: str) -> bool:
    try:
        client.lstat(full)
    except FileNotFoundError:
        return False
    return True


def _holds_same(
    session: SftpSession, path: str, there: int, source: BinaryIO, size: int, context: CapabilityContext
) -> bool:
    if there != size:
        return False
    ours, theirs = hashlib.sha256(), hashlib.sha256()
    while piece := source.read(_PIECE_BYTES):
        ours.update(piece)
    source.seek(0)
    with opened(session, path) as remote:
        for piece in remote.pieces(context):
            theirs.update(piece)
    return ours.digest() == theirs.digest()


def _temporary_name(full: str, context: CapabilityContext) -> str:
    """The same for every run of one step, and of no other."""
    key = f"{context.idempotency_key or context.instance_id}\0{full}"
    return f"{_TEMPORARY}{_digest(key)}.part"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:24]


def _status(session: SftpSession, full: str) -> paramiko.SFTPAttributes | None:
    try:
        return session.client.stat(full)
    except FileNotFoundError:
        return None
