"""The local certificate authority that daemons make on first start, and the server certificate it signs.

Layout under `<data dir>/tls`: `ca.pem` (what clients pin), `ca-key.pem`, `server.pem`, `server-key.pem`; keys have mode
0600.
All daemons of a data directory share them. The server certificate is renewed when it nears its end, at start and while
a daemon runs; a new server certificate needs no change at clients, since they pin the authority.

The authority is replaced in three steps, between which clients get the new `ca.pem` (see `rotate_authority`). Meanwhile
it holds two certificates, and the one that belongs to `ca-key.pem` signs.
"""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from runtara_sdk.errors import ConfigurationError, InvalidStateError
from runtara_sdk.transport import TlsIdentity

_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 397
_RENEW_BEFORE_DAYS = 30
_CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DaemonCertificates:
    """Files of a daemon: its certificate chain and key, and the authority that clients should trust."""

    certificate_path: Path
    private_key_path: Path
    ca_path: Path

    @property
    def identity(self) -> TlsIdentity:
        """What a server shows to its clients."""
        return TlsIdentity(self.certificate_path, self.private_key_path)


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
    with _tls_directory(data_dir) as directory:
        return _ensure(directory, ["localhost", "127.0.0.1", "::1", *server_names])


def rotate_authority(data_dir: Path, step: RotationStep) -> Path:
    """Take one step of replacing the authority; returns the path of `ca.pem`.

    Between two steps every client that keeps a copy of `ca.pem` must get the new one; running daemons follow within a
    minute by themselves. Raises `InvalidStateError` for a step that is not the next one, `ConfigurationError` as
    `ensure_certificates`.
    """
    with _tls_directory(data_dir) as directory:
        ca_path, key_path, next_key_path = (directory / name for name in ("ca.pem", "ca-key.pem", "ca-next-key.pem"))
        if not (ca_path.exists() and key_path.exists()):
            raise InvalidStateError(f"there is no authority in {directory} yet: start a daemon with this DATA_DIR")
        bundle = x509.load_pem_x509_certificates(ca_path.read_bytes())
        expected = RotationStep.SWITCH if next_key_path.exists() else RotationStep.PREPARE
        if expected is RotationStep.PREPARE and len(bundle) > 1:
            expected = RotationStep.FINISH
        if step is not expected:
            raise InvalidStateError(f"{directory} is not ready for {step}: the next step is {expected}")
        match step:
            case RotationStep.PREPARE:
                key = ec.generate_private_key(ec.SECP256R1())
                _write_key(next_key_path, key)
                _write_bundle(ca_path, [*bundle, _authority(key)])
            case RotationStep.SWITCH:
                # The server certificate no longer fits the key: the daemons, or the next one to start, sign a new one.
                next_key_path.replace(key_path)
            case RotationStep.FINISH:
                _write_bundle(ca_path, [_signing_authority(bundle, _load_key(key_path))])
        return ca_path


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


def _ensure(directory: Path, names: Sequence[str]) -> DaemonCertificates:
    paths = DaemonCertificates(directory / "server.pem", directory / "server-key.pem", directory / "ca.pem")
    authority_key_path = directory / "ca-key.pem"
    if not (paths.ca_path.exists() and authority_key_path.exists()):
        authority_key = ec.generate_private_key(ec.SECP256R1())
        _write_key(authority_key_path, authority_key)
        _write_bundle(paths.ca_path, [_authority(authority_key)])
    authority_key = _load_key(authority_key_path)
    authority = _signing_authority(x509.load_pem_x509_certificates(paths.ca_path.read_bytes()), authority_key)
    if _is_current(paths, authority, names):
        return paths
    server_key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server_certificate(server_key, authority, authority_key, names)
    _write_key(paths.private_key_path, server_key)
    _write(paths.certificate_path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return paths


def _signing_authority(
    bundle: Sequence[x509.Certificate], authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    for certificate in bundle:
        if certificate.public_key() == authority_key.public_key():
            return certificate
    raise ValueError("ca.pem holds no certificate for ca-key.pem")


def _is_current(paths: DaemonCertificates, authority: x509.Certificate, names: Sequence[str]) -> bool:
    if not (paths.certificate_path.exists() and paths.private_key_path.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(paths.certificate_path.read_bytes())
    same_key = certificate.public_key() == _load_key(paths.private_key_path).public_key()
    remaining = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {_general_name(name) for name in names} <= set(extension)
    signed = certificate.issuer == authority.subject
    return same_key and known and signed and remaining > datetime.timedelta(days=_RENEW_BEFORE_DAYS)


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Runtara local CA {os.urandom(4).hex()}")])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=_SERVER_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path.name} holds a key of another kind")  # noqa: TRY004 - reported as a bad file
    return key


def _write_bundle(path: Path, certificates: Sequence[x509.Certificate]) -> None:
    content = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
    _write(path, content, mode=0o644)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(path, content, mode=0o600)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
