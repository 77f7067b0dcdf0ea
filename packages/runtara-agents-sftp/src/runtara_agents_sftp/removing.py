"""Moving and removing: what an earlier run of the step has done is no error.

What is to be moved or removed is looked at and recorded first. When the step is run again, and the thing is gone, that
record tells that it was there.
"""

from __future__ import annotations

import itertools
import posixpath
import stat

from runtara_sdk.agents import CapabilityContext

from runtara_agents_sftp.failures import (
    ALREADY_EXISTS,
    DELETE_FAILED,
    DIRECTORY_NOT_EMPTY,
    FILE_NOT_FOUND,
    IS_DIRECTORY,
    MOVE_FAILED,
    PATH_INVALID,
    failed,
    translated,
)
from runtara_agents_sftp.listing import FileStatus, status_of
from runtara_agents_sftp.models import DeletedDirectory, DeletedFile, MovedFile, MoveInput
from runtara_agents_sftp.paths import remote_path
from runtara_agents_sftp.session import SftpSession
from runtara_agents_sftp.transfers import make_directories, put_in_place

_MOST_ITEMS = 1_000_000


def move(session: SftpSession, inputs: MoveInput, before: FileStatus) -> MovedFile:
    """Rename a file or a directory; `before` is what was at the source when the step began."""
    moved = MovedFile(source=inputs.source, destination=inputs.destination)
    source, target = remote_path(session, inputs.source), remote_path(session, inputs.destination)
    now, there = status_of(session, inputs.source), status_of(session, inputs.destination)
    if not before.exists:
        raise failed(FILE_NOT_FOUND, inputs.source, "there is no such file or directory")
    if not now.exists:
        same = (there.exists, there.size, there.modified_time) == (True, before.size, before.modified_time)
        if same:
            return moved  # by an earlier run
        raise failed(FILE_NOT_FOUND, inputs.source, "it is gone since the step began")
    if there.exists and (not inputs.overwrite or there.is_directory):
        raise failed(ALREADY_EXISTS, inputs.destination, "it exists, and overwrite is false")
    if inputs.create_dirs:
        make_directories(session, posixpath.dirname(target) or ".", inputs.destination)
    with translated(MOVE_FAILED, inputs.source):
        put_in_place(session, source, target, overwrite=inputs.overwrite)
    return moved


def delete_file(session: SftpSession, path: str, before: FileStatus, *, missing_ok: bool) -> DeletedFile:
    """Remove a file or a link; `before` is what was there when the step began."""
    full = remote_path(session, path)
    now = status_of(session, path)
    if not now.exists:
        if before.exists or missing_ok:
            return DeletedFile(success=True, path=path)
        raise failed(FILE_NOT_FOUND, path, "there is no such file")
    if now.is_directory and not now.is_link:
        raise failed(IS_DIRECTORY, path, "it is a directory: use sftp-delete-directory")
    with translated(DELETE_FAILED, path):
        session.client.remove(full)
    return DeletedFile(success=True, path=path)


def delete_directory(
    session: SftpSession,
    path: str,
    before: FileStatus,
    context: CapabilityContext,
    *,
    recursive: bool,
    missing_ok: bool,
) -> DeletedDirectory:
    """Remove a directory, with all that is in it if that is asked for; links in it are removed, not followed."""
    full = remote_path(session, path)
    root = remote_path(session, "/") if session.parameters.root_path else "/"
    if posixpath.normpath(full) in (root, "/", ".", ".."):
        raise failed(PATH_INVALID, path, "it is the root itself")
    now = status_of(session, path)
    if not now.exists:
        if before.exists or missing_ok:
            return DeletedDirectory(success=True, path=path, items_deleted=0)
        raise failed(FILE_NOT_FOUND, path, "there is no such directory")
    if not now.is_directory or now.is_link:
        raise failed(DELETE_FAILED, path, "it is no directory")
    with translated(DELETE_FAILED, path):
        if not recursive and next(session.client.entries(full), None) is not None:
            raise failed(DIRECTORY_NOT_EMPTY, path, "it is not empty: set recursive")
        count = _remove_tree(session, full, path, context)
    return DeletedDirectory(success=True, path=path, items_deleted=count)


def _remove_tree(session: SftpSession, full: str, path: str, context: CapabilityContext) -> int:
    removed = 0
    pending: list[tuple[str, bool]] = [(full, False)]
    while pending:
        directory, is_emptied = pending.pop()
        if is_emptied:
            session.client.rmdir(directory)
            removed += 1
            continue
        pending.append((directory, True))
        for entry in list(itertools.islice(session.client.entries(directory), _MOST_ITEMS + 1)):
            each = posixpath.join(directory, entry.filename)
            if stat.S_ISDIR(entry.st_mode or 0):
                pending.append((each, False))
            else:
                session.client.remove(each)
                removed += 1
        context.check()
        if removed + len(pending) > _MOST_ITEMS:
            raise failed(DELETE_FAILED, path, f"it holds more than {_MOST_ITEMS} files: remove parts of it first")
    return removed
