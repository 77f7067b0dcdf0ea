"""Signatures of artifacts: Ed25519 (RFC 8032) over the text `sha256:` with the artifact's SHA-256 in hexadecimal.

A file of a signature holds its 64 bytes as one line of base64. Keys are PEM files, which `openssl genpkey` makes. The
library of cryptography is loaded when a key is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from runtara_sdk.errors import ConfigurationError, InvalidInputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_BYTES = 64

_MAX_FILE_BYTES = 65_536


class VerifyingKey:
    """A public key."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> VerifyingKey:
        """Read a PEM file; raises `ConfigurationError` naming what is wrong with it."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        content = _read(path)
        if b"PRIVATE KEY" in content:
            raise ConfigurationError(
                f"{path} is a private key: give the public one here, and keep the private one where you sign artifacts"
            )
        try:
            key = load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"{path} is not a public key in PEM format: {error}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigurationError(f"{path} is not an Ed25519 key: make one with openssl genpkey -algorithm ed25519")
        return cls(key)

    def accepts(self, digest: str, signature: bytes) -> bool:
        """Whether the signature of the artifact with this SHA-256 was made with the private half of this key."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, signed_text(digest))
        except InvalidSignature:
            return False
        return True


def signed_text(digest: str) -> bytes:
    """What is signed of an artifact with this SHA-256."""
    return f"sha256:{digest}".encode("ascii")


def sign_artifact(artifact: Path, key: Path) -> bytes:
    """The signature of a file with the private key in a PEM file.

    Raises `InvalidInputError` when the artifact cannot be read, `ConfigurationError` when the key cannot be used.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private_key = load_pem_private_key(_read(key), password=None)
    except TypeError:
        raise ConfigurationError(
            f"{key} is encrypted: decrypt it with openssl pkey -in {key}, and give what that prints"
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{key} is not a private key in PEM format: {error}") from None
    if not isinstance(private_key, Ed25519PrivateKey):
        raise ConfigurationError(f"{key} is not an Ed25519 key: make one with openssl genpkey -algorithm ed25519")
    try:
        with artifact.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInputError(f"{artifact} cannot be read: {error.strerror}") from None
    return private_key.sign(signed_text(digest))


def encode_signature(signature: bytes) -> str:
    """The text of a signature file."""
    return base64.b64encode(signature).decode("ascii") + "\n"


def read_signature(path: Path) -> bytes:
    """The signature in a file; raises `InvalidInputError` when there is none."""
    try:
        signature = base64.b64decode(path.read_bytes()[:_MAX_FILE_BYTES].strip(), validate=True)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None
    except binascii.Error:
        signature = b""
    return require_signature(signature, str(path))


def require_signature(signature: bytes, name: str) -> bytes:
    """The signature; raises `InvalidInputError` when it does not have the length of one."""
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidInputError(f"{name} is not a signature: make one with runtara-ctl sign")
    return signature


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
