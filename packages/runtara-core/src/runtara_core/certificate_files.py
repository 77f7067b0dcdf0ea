"""The files of a daemon's certificates, and what is said of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runtara_sdk.transport import TlsIdentity


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
