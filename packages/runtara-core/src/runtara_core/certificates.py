"""The local certificate authority that daemons make on first start, and the server certificate it signs.

Layout under `<data dir>/tls`: `ca.pem` (what clients pin), `ca-key.pem`, `server.pem`, `server-key.pem`; keys have mode
0600.
All daemons of a data directory share them. The server certificate is renewed when it nears its end, at start and while
a daemon runs; a new server certificate needs no change at clients, since they pin the authority.

The authority is replaced in three steps, between which clients get the new `ca.pem` (see `rotate_authority`). Meanwhile
it holds two certificates, and the one that belongs to `ca-key.pem` signs.

`current.json` remembers that exactly these files were found to be good, for which names and until when. While it holds,
nothing here imports a library that reads certificates, which takes longer than the rest of a start. It may be lost.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport import TlsIdentity

_RECORD_FILE = "current.json"


@dataclass(frozen=True, slots=True)
class DaemonCertificates:
    """Files of a daemon: its certificate chain and key, and the authority that clients should trust, with its key."""

    certificate_path: Path
    private_key_path: Path
    ca_path: Path
    authority_key_path: Path

    @classmethod
    def of_directory(cls, directory: Path) -> DaemonCertificates:
        """The files as they are called in a `tls` directory."""
        return cls(*(directory / name for name in ("server.pem", "server-key.pem", "ca.pem", "ca-key.pem")))

    @property
    def identity(self) -> TlsIdentity:
        """What a server shows to its clients."""
        return TlsIdentity(self.certificate_path, self.private_key_path)

    def fingerprint(self) -> str:
        """SHA-256 of the files, in hexadecimal; raises `OSError` when one is missing."""
        digest = hashlib.sha256()
        for path in (self.certificate_path, self.private_key_path, self.ca_path, self.authority_key_path):
            content = path.read_bytes()
            digest.update(b"%d:" % len(content) + content)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """What a server certificate says of itself: its names and addresses, and when to renew it (seconds since 1970)."""

    names: Sequence[str]
    renew_at: int


class RotationStep(StrEnum):
    """The steps of replacing the authority, in their order."""

    PREPARE = "prepare"
    """Make the new authority and put it beside the old one into ca.pem; the old one signs."""
    SWITCH = "switch"
    """Let the new one sign; ca.pem holds both."""
    FINISH = "finish"
    """Take the old one out of ca.pem."""


def ensure_certificates(data_dir: Path, server_names: Sequence[str] = ()) -> DaemonCertificates:
    """The certificates of a data directory, made when missing and renewed when needed.

    `server_names` are names or addresses beside localhost, 127.0.0.1 and ::1 that clients will verify.
    Raises `ConfigurationError` when the directory cannot be written or an existing file cannot be read.
    """
    names = ["localhost", "127.0.0.1", "::1", *server_names]
    with _tls_directory(data_dir) as directory:
        paths = DaemonCertificates.of_directory(directory)
        if not _is_known_to_be_current(directory, paths, names):
            from runtara_core.certificate_authority import ensure

            _remember(directory, paths, ensure(directory, names))
        return paths


def rotate_authority(data_dir: Path, step: RotationStep) -> Path:
    """Take one step of replacing the authority; returns the path of `ca.pem`.

    Between two steps every client that keeps a copy of `ca.pem` must get the new one; running daemons follow within a
    minute by themselves. Raises `InvalidStateError` for a step that is not the next one, `ConfigurationError` as
    `ensure_certificates`.
    """
    from runtara_core.certificate_authority import rotate

    with _tls_directory(data_dir) as directory:
        return rotate(directory, step)


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file at once; what was written survives a crash of the host."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)


def _is_known_to_be_current(directory: Path, paths: DaemonCertificates, names: Sequence[str]) -> bool:
    try:
        record = json.loads((directory / _RECORD_FILE).read_bytes())
        return (
            set(names) <= set(record["names"])
            and time.time() < record["renew_at"]
            and record["fingerprint"] == paths.fingerprint()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _remember(directory: Path, paths: DaemonCertificates, served: ServedCertificate) -> None:
    record = {"names": served.names, "renew_at": served.renew_at, "fingerprint": paths.fingerprint()}
    with suppress(OSError):  # it only saves time
        write_file(directory / _RECORD_FILE, json.dumps(record).encode(), mode=0o600)


@contextmanager
def _tls_directory(data_dir: Path) -> Iterator[Path]:
    directory = data_dir / "tls"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory / ".lock"):
            yield directory
    except OSError as error:
        raise ConfigurationError(
            f"cannot keep certificates in {directory}: {error.strerror or error}; "
            "make the data directory (DATA_DIR) writable"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"a file in {directory} is not a certificate or key: {error}; remove the directory to make new ones"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
