"""Keys and certificates of the local authority: what is made, renewed and replaced under `<data dir>/tls`.

Called with the directory locked, and only when something may have to be made: see `runtara_core.certificates`.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from runtara_sdk.errors import InvalidStateError

from runtara_core.certificate_files import DaemonCertificates, RotationStep, ServedCertificate, write_file

_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 397
_RENEW_BEFORE_DAYS = 30
_CLOCK_SKEW = datetime.timedelta(hours=1)


def ensure(directory: Path, names: Sequence[str]) -> ServedCertificate:
    """Make what is missing and renew what is due; returns what the server certificate says of itself.

    Raises `OSError` for a file that cannot be read or written, `ValueError` for one that is not what it should be.
    """
    paths = DaemonCertificates.of_directory(directory)
    if not (paths.ca_path.exists() and paths.authority_key_path.exists()):
        authority_key = ec.generate_private_key(ec.SECP256R1())
        _write_key(paths.authority_key_path, authority_key)
        _write_bundle(paths.ca_path, [_authority(authority_key)])
    authority_key = _load_key(paths.authority_key_path)
    authority = _signing_authority(x509.load_pem_x509_certificates(paths.ca_path.read_bytes()), authority_key)
    if not _is_current(paths, authority, names):
        server_key = ec.generate_private_key(ec.SECP256R1())
        certificate = _server_certificate(server_key, authority, authority_key, names)
        _write_key(paths.private_key_path, server_key)
        write_file(paths.certificate_path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return _described(x509.load_pem_x509_certificate(paths.certificate_path.read_bytes()))


def rotate(directory: Path, step: RotationStep) -> Path:
    """Take one step of replacing the authority; raises `InvalidStateError` for a step that is not the next one."""
    paths = DaemonCertificates.of_directory(directory)
    ca_path, key_path = paths.ca_path, paths.authority_key_path
    next_key_path = directory / "ca-next-key.pem"
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


def _signing_authority(
    bundle: Sequence[x509.Certificate], authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    for certificate in bundle:
        if certificate.public_key() == authority_key.public_key():
            return certificate
    raise ValueError("ca.pem holds no certificate for ca-key.pem")


def _described(certificate: x509.Certificate) -> ServedCertificate:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    renew_at = certificate.not_valid_after_utc - datetime.timedelta(days=_RENEW_BEFORE_DAYS)
    return ServedCertificate([*extension.get_values_for_type(x509.DNSName), *addresses], int(renew_at.timestamp()))


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
    write_file(path, content, mode=0o644)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_file(path, content, mode=0o600)
