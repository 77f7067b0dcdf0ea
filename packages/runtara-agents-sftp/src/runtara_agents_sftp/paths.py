"""Paths on the server: below the root of the connection, if it has one."""

from __future__ import annotations

import errno
import posixpath
import stat

from runtara_agents_sftp.failures import LIST_FAILED, PATH_INVALID, failed, translated
from runtara_agents_sftp.session import SftpSession

_LONGEST = 4096


def remote_path(session: SftpSession, path: str) -> str:
    """The path as the server is asked for it.

    With a `root_path`, `/in` and `in` are both below it, and links that lead out of it are refused.

    Raises:
        AgentError: permanent SFTP_PATH_INVALID.
    """
    if not path or "\0" in path or len(path) > _LONGEST:
        raise failed(PATH_INVALID, path[:200], "give a path of 1 to 4096 characters without zero bytes")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise failed(PATH_INVALID, path.encode(errors="replace").decode()[:200], "it is not Unicode text") from None
    root_path = session.parameters.root_path
    if not root_path:
        return path
    root = _root(session, root_path)
    inside = posixpath.normpath(posixpath.join("/", path.lstrip("/")))
    if ".." in path.split("/"):
        raise failed(PATH_INVALID, path, "it holds '..', and the connection has a root_path")
    full = posixpath.normpath(root + inside)
    _check_links(session, root, full, path)
    return full


def shown_path(session: SftpSession, full: str) -> str:
    """A path of the server as a step would write it."""
    if session.root is None:
        return full
    return "/" + posixpath.relpath(full, session.root) if full != session.root else "/"


def _root(session: SftpSession, root_path: str) -> str:
    if session.root is None:
        with translated(LIST_FAILED, root_path):
            session.root = session.client.normalize(root_path) or "/"
    return session.root


def _check_links(session: SftpSession, root: str, full: str, path: str) -> None:
    """Refuse a path of which a part that is there is a link out of the root."""
    current = full
    while current not in (root, "/", ""):
        try:
            status = session.client.lstat(current)
        except OSError as error:
            if error.errno != errno.ENOENT:
                with translated(LIST_FAILED, path):
                    raise
            current = posixpath.dirname(current)
            continue
        target = current
        if stat.S_ISLNK(status.st_mode or 0):
            with translated(LIST_FAILED, path):
                target = posixpath.join(posixpath.dirname(current), session.client.readlink(current) or "")
        with translated(LIST_FAILED, path):
            real = session.client.normalize(target)
        if real != root and not real.startswith(root.rstrip("/") + "/"):
            raise failed(PATH_INVALID, path, "it leads out of root_path through a link")
        return
