"""Signatures of artifacts, and keys that cannot be used."""

import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from runtara_sdk.artifact.signing import VerifyingKey, read_signature, sign_artifact
from runtara_sdk.cli.ctl import ctl
from runtara_sdk.errors import ConfigurationError, InvalidInputError

PLAIN = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_signature_is_of_one_file_and_one_key(tmp_path: Path, key: ed25519.Ed25519PrivateKey) -> None:
    artifact = write(tmp_path / "order.bin", b"#!/bin/sh\n")
    private = write(tmp_path / "key.pem", key.private_bytes(*PLAIN))
    made = CliRunner().invoke(ctl, ["sign", "--key", str(private), str(artifact)])
    assert (made.exit_code, made.output) == (0, f"{artifact}.sig\n")
    signature = read_signature(tmp_path / "order.bin.sig")
    assert signature == sign_artifact(artifact, private)
    public = VerifyingKey.from_file(write(tmp_path / "public.pem", key.public_key().public_bytes(*PUBLIC)))
    digest = hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    assert public.accepts(digest, signature)
    assert not public.accepts(hashlib.sha256(b"other").hexdigest(), signature)
    assert not public.accepts(digest, bytes(64))
    other = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*PUBLIC)
    assert not VerifyingKey.from_file(write(tmp_path / "other.pem", other)).accepts(digest, signature)


def test_what_is_no_key_is_refused(tmp_path: Path, key: ed25519.Ed25519PrivateKey) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    for content, message in [
        (key.private_bytes(*PLAIN), "is a private key"),
        (curve.public_key().public_bytes(*PUBLIC), "not an Ed25519 key"),
        (b"hello", "not a public key in PEM format"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            VerifyingKey.from_file(write(tmp_path / "public.pem", content))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        VerifyingKey.from_file(tmp_path / "missing.pem")
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    for content, message in [
        (encrypted, "is encrypted"),
        (curve.private_bytes(*PLAIN), "not an Ed25519 key"),
        (key.public_key().public_bytes(*PUBLIC), "not a private key in PEM format"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            sign_artifact(tmp_path, write(tmp_path / "key.pem", content))
    for content in (b"", b"AAAA", b"not base64!"):
        with pytest.raises(InvalidInputError, match="is not a signature"):
            read_signature(write(tmp_path / "a.sig", content))
