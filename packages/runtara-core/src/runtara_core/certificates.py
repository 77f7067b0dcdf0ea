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
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runtara_sdk.errors import ConfigurationError

from runtara_core.certificate_files import DaemonCertificates, RotationStep, ServedCertificate, write_file

_RECORD_FILE = "current.json"


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
