"""What lies on the server: listing, globbing, and looking at one path."""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_sftp.failures import LIST_FAILED, translated
from runtara_agents_sftp.paths import remote_path
from runtara_agents_sftp.session import SftpSession

if TYPE_CHECKING:
    import paramiko

MOST_ENTRIES = 100_000
TOO_MANY = "SFTP_TOO_MANY_FILES"
_DEEPEST = 100


class FileEntry(BaseModel):
    """One file or directory."""

    name: str
    path: str = Field(description="As a step would write it.")
    size: int = Field(description="Bytes; 0 if unknown.")
    is_directory: bool
    modified_time: int | None = Field(description="Seconds since 1970.")


class FileStatus(BaseModel):
    """What the server knows of a path."""

    exists: bool
    path: str
    size: int | None = Field(default=None, description="Bytes.")
    is_directory: bool = False
    is_link: bool = False
    modified_time: int | None = Field(default=None, description="Seconds since 1970.")
    accessed_time: int | None = Field(default=None, description="Seconds since 1970.")
    mode: int | None = Field(default=None, description="Permission bits: 420 is 0644.")
    owner_id: int | None = Field(default=None)
    group_id: int | None = Field(default=None)


def entries(
    session: SftpSession,
    path: str,
    context: CapabilityContext,
    *,
    recursive: bool = False,
    pattern: str | None = None,
) -> Iterator[FileEntry]:
    """The entries of a directory in the order of the server; links are not followed.

    Raises:
        AgentError: the directory cannot be listed, or holds more than `MOST_ENTRIES`.
    """
    full = remote_path(session, path)
    count = 0
    pending = [(full, path.rstrip("/") or "/", 0)]
    while pending:
        directory, shown, depth = pending.pop()
        for each in _in_directory(session, directory, shown, context):
            is_directory = stat.S_ISDIR(each.st_mode or 0)
            entry_path = posixpath.join(shown, each.filename)
            if recursive and is_directory and depth < _DEEPEST:
                pending.append((posixpath.join(directory, each.filename), entry_path, depth + 1))
            if pattern is not None and not fnmatch.fnmatchcase(each.filename, pattern):
                continue
            count += 1
            if count > MOST_ENTRIES:
                raise AgentError.permanent(
                    TOO_MANY,
                    f"{path!r} holds more than {MOST_ENTRIES} entries: give a pattern",
                    attributes={"path": path},
                )
            yield _entry(each, entry_path, is_directory=is_directory)


def _in_directory(
    session: SftpSession, directory: str, shown: str, context: CapabilityContext
) -> Iterator[paramiko.SFTPAttributes]:
    with translated(LIST_FAILED, shown):
        found = list(itertools.islice(session.client.entries(directory), MOST_ENTRIES + 1))
    context.check()
    yield from found


def status_of(session: SftpSession, path: str) -> FileStatus:
    """What is at a path; links are followed, and that it was one is told."""
    full = remote_path(session, path)
    with translated(LIST_FAILED, path):
        try:
            own = session.client.lstat(full)
        except FileNotFoundError:
            return FileStatus(exists=False, path=path)
        is_link = stat.S_ISLNK(own.st_mode or 0)
        try:
            found = session.client.stat(full) if is_link else own
        except FileNotFoundError:
            found = own  # a link to nothing
    return FileStatus(
        exists=True,
        path=path,
        size=found.st_size,
        is_directory=stat.S_ISDIR(found.st_mode or 0),
        is_link=is_link,
        modified_time=_seconds(found.st_mtime),
        accessed_time=_seconds(found.st_atime),
        mode=stat.S_IMODE(found.st_mode) if found.st_mode is not None else None,
        owner_id=found.st_uid,
        group_id=found.st_gid,
    )


def matching(session: SftpSession, pattern: str, context: CapabilityContext, *, most: int) -> list[FileEntry]:
    """The files whose path fits a glob, by path: `/in/*.csv`; `**` stands for directories of any depth.

    Raises:
        AgentError: more than `most` fit.
    """
    directory, name = posixpath.split(pattern)
    recursive = posixpath.basename(directory) == "**"
    if recursive:
        directory = posixpath.dirname(directory)
    found: list[FileEntry] = []
    for entry in entries(session, directory or ".", context, recursive=recursive, pattern=name):
        if entry.is_directory:
            continue
        if len(found) == most:
            raise AgentError.permanent(
                TOO_MANY, f"more than {most} files fit {pattern!r}: raise max_files", attributes={"path": pattern}
            )
        found.append(entry)
    return sorted(found, key=lambda entry: entry.path)


def _entry(found: paramiko.SFTPAttributes, path: str, *, is_directory: bool) -> FileEntry:
    return FileEntry(
        name=_printable(posixpath.basename(path)),
        path=_printable(path),
        size=found.st_size or 0,
        is_directory=is_directory,
        modified_time=_seconds(found.st_mtime),
    )


def _printable(path: str) -> str:
    """A path with U+FFFD for what is not UTF-8; such a file cannot be named by a step."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _seconds(value: int | None) -> int | None:
    return None if value is None else int(value)
