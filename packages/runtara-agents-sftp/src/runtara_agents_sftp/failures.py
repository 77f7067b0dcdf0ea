"""What goes wrong with a server, as structured errors."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from runtara_sdk.agents import AgentError, KnownError

CONNECTION_ERROR = "SFTP_CONNECTION_ERROR"
SESSION_ERROR = "SFTP_SESSION_ERROR"
HANDSHAKE_ERROR = "SFTP_HANDSHAKE_ERROR"
AUTH_FAILED = "SFTP_AUTH_FAILED"
HOST_KEY_MISMATCH = "SFTP_HOST_KEY_MISMATCH"
HOST_KEY_UNKNOWN = "SFTP_HOST_KEY_UNKNOWN"
TIMEOUT = "SFTP_TIMEOUT"
FILE_NOT_FOUND = "SFTP_FILE_NOT_FOUND"
PERMISSION_DENIED = "SFTP_PERMISSION_DENIED"
ALREADY_EXISTS = "SFTP_ALREADY_EXISTS"
IS_DIRECTORY = "SFTP_IS_DIRECTORY"
DIRECTORY_NOT_EMPTY = "SFTP_DIRECTORY_NOT_EMPTY"
PATH_INVALID = "SFTP_PATH_INVALID"
NO_SPACE = "SFTP_NO_SPACE"
LIST_FAILED = "SFTP_LIST_FAILED"
READ_ERROR = "SFTP_READ_ERROR"
WRITE_ERROR = "SFTP_WRITE_ERROR"
CREATE_FAILED = "SFTP_CREATE_FAILED"
DELETE_FAILED = "SFTP_DELETE_FAILED"
MOVE_FAILED = "SFTP_MOVE_FAILED"
INVALID_CONTENT = "SFTP_INVALID_CONTENT"
FILE_TOO_LARGE = "SFTP_FILE_TOO_LARGE"
NOT_TEXT = "SFTP_NOT_TEXT"

CONNECT_ERRORS = (
    KnownError.permanent("SFTP_NO_CONNECTION", "The step names no connection."),
    KnownError.permanent("SFTP_INVALID_CREDENTIALS", "The parameters of the connection cannot be used."),
    KnownError.permanent("SFTP_NO_AUTH_METHOD", "The connection has neither a private key nor a password."),
    KnownError.transient(CONNECTION_ERROR, "The server cannot be reached, or the connection broke.", "host", "port"),
    KnownError.transient(HANDSHAKE_ERROR, "The server does not complete the SSH handshake.", "host"),
    KnownError.transient(SESSION_ERROR, "The server does not open an SFTP session.", "host"),
    KnownError.permanent(AUTH_FAILED, "The server refuses the credentials.", "username", "auth_method"),
    KnownError.permanent(HOST_KEY_MISMATCH, "The server shows another host key.", "host", "fingerprint"),
    KnownError.permanent(HOST_KEY_UNKNOWN, "The connection names no host key.", "host", "fingerprint"),
    KnownError.transient(TIMEOUT, "The server said nothing for too long.", "host"),
)

PATH_ERRORS = (
    KnownError.permanent(FILE_NOT_FOUND, "Nothing is there.", "path"),
    KnownError.permanent(PERMISSION_DENIED, "The server does not allow it.", "path"),
    KnownError.permanent(PATH_INVALID, "The path leads out of root_path, or is none.", "path"),
    KnownError.permanent(LIST_FAILED, "The server does not tell what is there.", "path"),
    KnownError.permanent(NO_SPACE, "The server has no space left; few servers say so.", "path"),
)


def failed(code: str, path: str, reason: str, *, transient: bool = False) -> AgentError:
    """The error of a call about a path."""
    path = path.encode(errors="replace").decode()  # names of the server need not be Unicode
    make = AgentError.transient if transient else AgentError.permanent
    return make(code, f"{path!r}: {reason}", attributes={"path": path})


@contextlib.contextmanager
def translated(code: str, path: str, *, transient: bool = False) -> Iterator[None]:
    """Turn errors of the library about `path` into `AgentError`s; `code` stands for what the server does not explain.

    A connection that broke, and a server that says nothing, are transient whatever was asked.
    """
    import paramiko

    try:
        yield
    except TimeoutError:
        raise failed(TIMEOUT, path, "the server said nothing for too long", transient=True) from None
    except (EOFError, ConnectionError, paramiko.SSHException, paramiko.SFTPError) as error:
        reason = f"the connection broke: {_first_line(error)}"
        raise failed(CONNECTION_ERROR, path, reason, transient=True) from None
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise failed(FILE_NOT_FOUND, path, "there is no such file or directory") from None
        if error.errno in (errno.EACCES, errno.EROFS):
            raise failed(PERMISSION_DENIED, path, "the server does not allow it") from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise failed(NO_SPACE, path, "the server has no space left for it") from None
        if error.errno == errno.ENOTCONN:
            raise failed(CONNECTION_ERROR, path, "the server lost its connection", transient=True) from None
        if error.args and error.args[0] == "Socket is closed":
            raise failed(CONNECTION_ERROR, path, "the connection broke", transient=True) from None
        raise failed(code, path, _first_line(error), transient=transient) from None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
