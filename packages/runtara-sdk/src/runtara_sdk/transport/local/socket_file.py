"""The file of a listening socket: in a private directory, held by one server at a time, replaced when it is stale."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from pathlib import Path

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport.address import check_length

_LOCK_SUFFIX = ".lock"
_GUEST_SUFFIX = ".guests"
_GUEST_DIRECTORY_MODE = 0o711

_LOCK_WAIT_SECONDS = 1.0
"""So long a lock may be held by who serves nothing: a process that looks for stale sockets, or one that ends."""

_LOCK_RETRY_SECONDS = 0.01

_PASSABLE = 0o711
"""Mode of a directory with a socket of root's for programs that run as other users."""

BACKLOG = 4_096
"""Connections that may wait to be accepted; the system may allow fewer."""


def guest_directory(path: Path) -> Path:
    """The directory that holds the socket `path` under its name and nothing else, to be mounted into containers.

    A server that admits guests makes it beside the socket. It outlives the server, and the next one puts its socket
    there: a container that has the directory goes on with it, while a mounted socket would stay the dead server's.
    """
    return path.with_name(f"{path.name}{_GUEST_SUFFIX}")


class SocketInUseError(ConfigurationError):
    """A living server listens at the path."""


class SocketFile:
    """A socket that listens at a path, until `close`."""

    def __init__(self, path: Path, listening: socket.socket, lock: int) -> None:
        self.path = path
        self.listening = listening
        self._lock = lock
        self._identity = _identity(path)

    @classmethod
    def create(cls, path: Path, *, is_open: bool = False, for_guests: bool = False) -> SocketFile:
        """Listen at `path`; a file that a killed server left there is replaced.

        Everybody may connect to an open one, and pass its directory to get there; else the owner alone may. One for
        guests is in its `guest_directory`, too.

        The directory is made when it is missing. Raises `ConfigurationError` when others may
        enter it, when another server listens there, or when the path cannot be used.
        """
        check_length(path)
        try:
            _ensure_private_directory(path.parent)
            if is_open:
                path.parent.chmod(_PASSABLE)
            lock = _take_lock(_lock_path(path), wait_seconds=_LOCK_WAIT_SECONDS)
        except OSError as error:
            raise ConfigurationError(f"cannot listen at {path}: {error.strerror or error}") from error
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if path.is_socket():
                # Whoever made it is gone, for the lock was free; unless somebody has removed the file of the lock.
                if _is_served(path):
                    raise _in_use(path)
                path.unlink()
            elif path.exists():
                raise ConfigurationError(f"cannot listen at {path}: a file that is no socket is there; remove it")
            listening.bind(str(path))
            path.chmod(0o666 if is_open else 0o600)
            listening.listen(BACKLOG)
            listening.setblocking(False)
            if for_guests:
                _show_guests(path)
            return cls(path, listening, lock)
        except OSError as error:
            listening.close()
            os.close(lock)
            raise ConfigurationError(f"cannot listen at {path}: {error.strerror or error}") from error
        except BaseException:
            listening.close()
            os.close(lock)
            raise

    def close(self) -> None:
        """Stop listening and remove the file. Calling again does nothing."""
        if self._lock < 0:
            return
        self.listening.close()
        for path in (self.path, guest_directory(self.path) / self.path.name):
            with contextlib.suppress(OSError):
                if _identity(path) == self._identity:
                    path.unlink()
        # Somebody may have removed the socket already; the lock is nobody else's business.
        with contextlib.suppress(OSError):
            lock_path = _lock_path(self.path)
            if _is_file(self._lock, lock_path):
                lock_path.unlink()
        os.close(self._lock)
        self._lock = -1


def _show_guests(path: Path) -> None:
    """Put a listening socket in the place of the one that guests have seen so far."""
    directory = guest_directory(path)
    directory.mkdir(exist_ok=True)
    directory.chmod(_GUEST_DIRECTORY_MODE)  # whatever the umask is
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    os.link(path, temporary)
    temporary.replace(directory / path.name)


def remove_guest_directory(path: Path) -> None:
    """Remove the directory of a socket whose name no server will have again. What is not empty stays."""
    directory = guest_directory(path)
    with contextlib.suppress(OSError):
        (directory / path.name).unlink(missing_ok=True)
        directory.rmdir()


def _lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}{_LOCK_SUFFIX}")


def _ensure_private_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(directory):
        raise ConfigurationError(
            f"the socket's directory {directory} must belong to user {os.geteuid()} and be closed to others: run "
            f"`chmod 700 {directory}`, or choose a directory of its own"
        )


def _is_private(directory: Path) -> bool:
    """Whether a directory, and a link that leads to it, are this user's, and others may pass it at most.

    Each socket says for itself who may connect to it.
    """
    status = directory.stat()
    owners = {status.st_uid, directory.lstat().st_uid}
    mode = stat.S_IMODE(status.st_mode)
    is_passable = os.geteuid() == 0 and mode == _PASSABLE
    return owners == {os.geteuid()} and (is_passable or not mode & 0o077)


def remove_stale(directory: Path, lasting: str) -> None:
    """Remove the sockets of servers that were killed; those of living ones stay, and so does what is no socket.

    Containers that have the guest directory of the name `lasting` wait for its next server, so that it stays.
    Nothing is touched in a directory that is not private.
    """
    try:
        if not _is_private(directory):
            return
    except OSError:
        return
    for lock_path in directory.glob(f"*{_LOCK_SUFFIX}"):
        path = lock_path.with_suffix("")
        with contextlib.suppress(OSError, SocketInUseError):
            if path.exists() and not path.is_socket():
                continue
            lock = _take_lock(lock_path)
            try:
                if not _is_served(path):
                    path.unlink(missing_ok=True)
                    if path.name != lasting:
                        remove_guest_directory(path)
                    lock_path.unlink()
            finally:
                os.close(lock)


def _is_served(path: Path) -> bool:
    """Whether a process listens at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # more clients wait than it has taken
            return True
        except OSError:
            return False
        return True


def _take_lock(path: Path, *, wait_seconds: float = 0.0) -> int:
    give_up_at = time.monotonic() + wait_seconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another server may have removed the file between the two calls: such a lock protects nothing.
            if _is_file(descriptor, path):
                return descriptor
        except BlockingIOError:
            served = path.with_suffix("")
            if time.monotonic() >= give_up_at or _is_served(served):
                os.close(descriptor)
                raise _in_use(served) from None
            time.sleep(_LOCK_RETRY_SECONDS)
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _in_use(path: Path) -> SocketInUseError:
    return SocketInUseError(
        f"cannot listen at {path}: another process does; stop it, or choose another directory (DATA_DIR, for a daemon)"
    )


def _is_file(descriptor: int, path: Path) -> bool:
    status = os.fstat(descriptor)
    return _identity(path) == (status.st_dev, status.st_ino)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
