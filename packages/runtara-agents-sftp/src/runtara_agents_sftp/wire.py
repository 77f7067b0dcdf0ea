"""The library's client with bounded waits and with many requests under way. Imports the library: to be imported late.

The library waits for ever when its own socket timeout is not set, answers to no cancellation while it waits, reads a
file ahead on a thread that sleeps between requests, and takes an answer apart in many copies.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_DATA,
    CMD_EXTENDED,
    CMD_EXTENDED_REPLY,
    CMD_INIT,
    CMD_NAME,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    CMD_READLINK,
    CMD_REALPATH,
    CMD_STATUS,
    CMD_VERSION,
    CMD_WRITE,
    SFTP_EOF,
    SFTP_OK,
)

FSYNC = "fsync@openssh.com"
_LIMITS = "limits@openssh.com"

_VERSION = 3
_BLOCK_BYTES = 32 * 1024  # what every server takes in one request
_LARGEST_BLOCK_BYTES = 255 * 1024
_UNDER_WAY_BYTES = 4 * 1024 * 1024
_UNDER_WAY_REQUESTS = 64
_LARGEST_PACKET_BYTES = 16 * 1024 * 1024
_RECEIVE_BYTES = 1024 * 1024
_SEND_BYTES = 64 * 1024
_LOOK_SECONDS = 0.2
"""How often a wait looks whether the call was cancelled."""


_ERRORS = {
    2: errno.ENOENT,
    3: errno.EACCES,
    6: errno.ENOTCONN,
    7: errno.ECONNRESET,
    8: errno.EOPNOTSUPP,
    # Of later versions of the protocol; there are servers that answer so in any.
    10: errno.ENOENT,
    11: errno.EEXIST,
    12: errno.EROFS,
    14: errno.ENOSPC,
    15: errno.EDQUOT,
    18: errno.ENOTEMPTY,
    19: errno.ENOTDIR,
    24: errno.EISDIR,
}


class WireClient(paramiko.SFTPClient):
    """A client of one thread.

    Args:
        channel: on which the subsystem was started.
        start_seconds: how long the server may take for its first answers.
        progress_seconds: how long it may say nothing later, or take nothing, while something is owed.

    Attributes:
        check: called while the server is waited for; raises to end the call.
        extensions: names that the server announces.
    """

    if TYPE_CHECKING:  # what the stubs leave out
        _lock: threading.Lock
        _expecting: dict[int, Any]
        request_number: int

        def _request(self, kind: int, *parts: Any) -> tuple[int, paramiko.Message]: ...

        def _send_packet(self, kind: int, message: paramiko.Message) -> None: ...

    def __init__(self, channel: paramiko.Channel, start_seconds: float, progress_seconds: float) -> None:
        self.check: Callable[[], object] = _go_on
        self.extensions: frozenset[str] = frozenset()
        self._progress_seconds = start_seconds
        self._received = b""
        self._at = 0
        self._is_over = False
        channel.settimeout(min(_LOOK_SECONDS, start_seconds, progress_seconds))
        super().__init__(channel)
        self._read_bytes, self._write_bytes = self._limits()
        self._progress_seconds = progress_seconds

    def read_pieces(self, file: paramiko.SFTPFile, offset: int, end: int) -> Iterator[bytes]:
        """The bytes of an open file between two offsets, in order; fewer when it ends before.

        A bounded number of requests is under way. It may be left at any time: answers that come later are passed over.
        """
        handle, block = _handle(file), self._read_bytes
        most = max(1, min(_UNDER_WAY_REQUESTS, _UNDER_WAY_BYTES // block))
        under_way: dict[int, tuple[int, int]] = {}
        ready: dict[int, bytes] = {}
        asked = offset
        while offset < end:
            while len(under_way) + len(ready) < most and asked < end:
                size = min(block, end - asked)
                under_way[self._ask(CMD_READ, handle, struct.pack(">QI", asked, size))] = (asked, size)
                asked += size
            while offset not in ready:
                number, kind, content = self._answer()
                place = under_way.pop(number, None)
                if place is None:
                    continue
                if kind == CMD_STATUS:
                    if self._is_end(content):
                        end = min(end, place[0])
                        if offset >= end:
                            return
                        continue
                    raise paramiko.SFTPError("the server answered a read without data")
                if kind != CMD_DATA:
                    raise paramiko.SFTPError("the server answered a read with something else")
                at, size = place
                piece = content[8:]
                if len(piece) < size and piece:  # servers may give less than they are asked for
                    rest = at + len(piece)
                    under_way[self._ask(CMD_READ, handle, struct.pack(">QI", rest, size - len(piece)))] = (
                        rest,
                        size - len(piece),
                    )
                elif not piece:
                    end = min(end, at)
                    if offset >= end:
                        return
                    continue
                ready[at] = piece
            piece = ready.pop(offset)
            offset += len(piece)
            yield piece

    def write_pieces(self, file: paramiko.SFTPFile, pieces: Iterator[bytes]) -> int:
        """Write pieces one behind the other from the beginning of an open file; returns the bytes acknowledged."""
        handle, block = _handle(file), self._write_bytes
        most = max(1, min(_UNDER_WAY_REQUESTS, _UNDER_WAY_BYTES // block))
        under_way: set[int] = set()
        offset = 0

        def acknowledge() -> None:
            number, kind, content = self._answer()
            if number in under_way:
                under_way.remove(number)
                if kind != CMD_STATUS:
                    raise paramiko.SFTPError("the server answered a write with something else")
                self._convert_status(paramiko.Message(content[4:]))

        for piece in pieces:
            for start in range(0, len(piece), block):
                part = piece[start : start + block]
                while len(under_way) >= most or (under_way and self._has_answer()):
                    acknowledge()
                under_way.add(self._ask(CMD_WRITE, handle, struct.pack(">QI", offset, len(part)), part))
                offset += len(part)
        while under_way:
            acknowledge()
        return offset

    def entries(self, path: str) -> Iterator[paramiko.SFTPAttributes]:
        """What is in a directory, in the order of the server, without `.` and `..`.

        Names that are not UTF-8 have the form of `os.fsdecode`, and are understood in that form.
        """
        _, message = self._request(CMD_OPENDIR, self._adjust_cwd(path))
        handle = message.get_binary()
        try:
            while True:
                try:
                    kind, message = self._request(CMD_READDIR, handle)
                except EOFError:
                    return
                if kind != CMD_NAME:
                    raise paramiko.SFTPError("the server answered a listing with something else")
                for _ in range(message.get_int()):
                    name = _text(message.get_binary())
                    if not name:  # also what is read behind the end of a packet
                        raise paramiko.SFTPError("the server listed a file without a name")
                    message.get_binary()  # the line for people
                    entry: paramiko.SFTPAttributes = paramiko.SFTPAttributes._from_msg(message, name)  # type: ignore[attr-defined]  # noqa: SLF001
                    if name not in (".", "..") and "/" not in name:
                        yield entry
        finally:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                self._request(CMD_CLOSE, handle)

    def normalize(self, path: bytes | str) -> str:
        """The absolute path, with all links followed."""
        return self._name_of(CMD_REALPATH, path)

    def readlink(self, path: bytes | str) -> str:
        """Where a link leads to."""
        return self._name_of(CMD_READLINK, path)

    def _name_of(self, kind: int, path: bytes | str) -> str:
        _, message = self._request(kind, self._adjust_cwd(path))
        if message.get_int() != 1:
            raise paramiko.SFTPError("the server answered with another number of names than one")
        return _text(message.get_binary())

    def answers(self, seconds: float) -> bool:
        """Ask the server for something small; whether it answers within so many seconds."""
        progress_seconds, self._progress_seconds = self._progress_seconds, min(seconds, self._progress_seconds)
        try:
            with self.undisturbed():
                self.normalize(".")
        except Exception:  # noqa: BLE001 - whatever it is, another session is opened
            return False
        finally:
            self._progress_seconds = progress_seconds
        return True

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Work that is not cancelled in the middle."""
        check, self.check = self.check, _go_on
        try:
            yield
        finally:
            self.check = check

    def sync(self, file: paramiko.SFTPFile) -> bool:
        """Have the server write a file to its disk; false when it does not know how."""
        if FSYNC not in self.extensions:
            return False
        self._request(CMD_EXTENDED, FSYNC, _handle(file))
        return True

    def _limits(self) -> tuple[int, int]:
        """The largest blocks that may be read and written in one request."""
        if _LIMITS not in self.extensions:
            return _BLOCK_BYTES, _BLOCK_BYTES
        try:
            kind, message = self._request(CMD_EXTENDED, _LIMITS)
        except OSError:
            return _BLOCK_BYTES, _BLOCK_BYTES
        if kind != CMD_EXTENDED_REPLY:
            return _BLOCK_BYTES, _BLOCK_BYTES
        message.get_int64()  # of a packet
        read, write = (min(message.get_int64() or _BLOCK_BYTES, _LARGEST_BLOCK_BYTES) for _ in range(2))
        return max(read, _BLOCK_BYTES), max(write, _BLOCK_BYTES)

    def _ask(self, kind: int, handle: bytes, *parts: bytes) -> int:
        """Send a request about an open file without waiting for the answer; returns its number."""
        with self._lock:
            number = self.request_number
            self.request_number += 1
        body = b"".join((struct.pack(">BII", kind, number, len(handle)), handle, *parts))
        self._write_all(struct.pack(">I", len(body)) + body)
        return number

    def _answer(self) -> tuple[int, int, bytes]:
        """Number, kind, and all that is behind the kind, of the next answer."""
        kind, content = self._read_packet()
        number = int.from_bytes(content[:4], "big")
        with self._lock:
            self._expecting.pop(number, None)
        return number, kind, content

    def _is_end(self, content: bytes) -> bool:
        try:
            self._convert_status(paramiko.Message(content[4:]))
        except EOFError:
            return True
        return False

    def _has_answer(self) -> bool:
        return self._at < len(self._received) or bool(self.sock.recv_ready())

    # What the library calls.

    def _adjust_cwd(self, path: bytes | str) -> bytes:
        return path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")

    def _convert_status(self, message: paramiko.Message) -> None:
        code = message.get_int()
        text = message.get_binary().decode(errors="replace") if message.get_remainder() else ""
        if code == SFTP_OK:
            return
        if code == SFTP_EOF:
            raise EOFError(text)
        if code in _ERRORS:
            raise OSError(_ERRORS[code], text)
        raise OSError(text or f"status {code}")

    def _send_version(self) -> int:
        self._send_packet(CMD_INIT, _message(_VERSION))
        kind, content = self._read_packet()
        if kind != CMD_VERSION:
            raise paramiko.SFTPError("the server speaks no SFTP")
        message = paramiko.Message(content)
        version = message.get_int()
        names = set()
        while len(message.get_remainder()) >= 8:
            names.add(message.get_binary().decode(errors="replace"))
            message.get_binary()
        self.extensions = frozenset(names)
        return version

    def _read_packet(self) -> tuple[int, bytes]:
        self._have(4)
        size = int.from_bytes(self._received[self._at : self._at + 4], "big")
        if not 0 < size <= _LARGEST_PACKET_BYTES:
            raise paramiko.SFTPError("the server sent something that is no packet")
        self._have(4 + size)
        start = self._at + 4
        self._at = start + size
        return self._received[start], self._received[start + 1 : self._at]

    def _have(self, count: int) -> None:
        """Receive until so many bytes are there."""
        if len(self._received) - self._at >= count:
            return
        pieces = [self._received[self._at :]]
        there = len(pieces[0])
        while there < count:
            piece = self._waited(lambda: self.sock.recv(_RECEIVE_BYTES))
            if not piece:
                raise EOFError("the server closed the connection")
            pieces.append(piece)
            there += len(piece)
        self._received, self._at = b"".join(pieces), 0

    def _write_all(self, out: bytes) -> None:
        rest = memoryview(out)
        try:
            while rest:
                part = bytes(rest[:_SEND_BYTES])
                count = self._waited(functools.partial(self.sock.send, part))
                if count <= 0:
                    raise EOFError("the server closed the connection")
                rest = rest[count:]
        except BaseException:
            self._is_over = True  # what comes next would be taken for the rest of this packet
            raise

    def _waited(self, attempt: Callable[[], Any]) -> Any:
        """The result of an attempt, made again and again until it does not time out.

        Raises:
            TimeoutError: the server said nothing for too long. What is called later, to tidy up, fails at once.
        """
        ends_at = 0.0
        while True:
            if self._is_over:
                raise EOFError("the connection is given up")
            try:
                return attempt()
            except TimeoutError:
                now = time.monotonic()
                ends_at = ends_at or now - _LOOK_SECONDS + self._progress_seconds
                self.check()
                if now >= ends_at:
                    self._is_over = True
                    raise


def _handle(file: paramiko.SFTPFile) -> bytes:
    handle: Any = file.handle
    return bytes(handle)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _message(number: int) -> paramiko.Message:
    message = paramiko.Message()
    message.add_int(number)
    return message


def _go_on() -> None:
    """Nothing ends the call."""
