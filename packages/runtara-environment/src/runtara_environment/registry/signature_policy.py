"""Which artifacts a host takes: all of them, or those that are signed with a key that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runtara_sdk.artifact.signing import VerifyingKey
from runtara_sdk.errors import ConfigurationError, InvalidInputError

from runtara_environment.registry.layer_store import ArtifactUnavailableError

_MAX_KEYS = 100


class SignatureRefusedError(ArtifactUnavailableError):
    """The signature of an artifact is missing or wrong for this host. Fetching the artifact again changes nothing.

    Attributes:
        updated_at_ms: when the image was registered last; another registration may bring another signature.
    """

    def __init__(self, message: str, updated_at_ms: int) -> None:
        super().__init__(message)
        self.updated_at_ms = updated_at_ms


class SignaturePolicy:
    """The public keys of those whose artifacts are run; without any, everybody's are."""

    def __init__(self, keys: Sequence[VerifyingKey] = ()) -> None:
        self._keys = tuple(keys)

    @classmethod
    def of(cls, path: Path | None) -> SignaturePolicy:
        """The keys in a PEM file, or in the files `*.pem` of a directory; with no path everything is run.

        Raises `ConfigurationError` when there are none, or one cannot be used: to run everything would be worse.
        """
        if path is None:
            return cls()
        files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
        if not files:
            raise ConfigurationError(
                f"RUNTARA_IMAGE_PUBLIC_KEYS={path} has no public keys: put PEM files of Ed25519 keys there, named *.pem"
            )
        if len(files) > _MAX_KEYS:
            raise ConfigurationError(
                f"RUNTARA_IMAGE_PUBLIC_KEYS={path} has {len(files)} keys: at most {_MAX_KEYS} are accepted"
            )
        try:
            return cls([VerifyingKey.from_file(each) for each in files])
        except ConfigurationError as error:
            raise ConfigurationError(f"RUNTARA_IMAGE_PUBLIC_KEYS={path}: {error.message}") from error

    def require(self, digest: str, signature: bytes | None) -> None:
        """Raise `InvalidInputError` unless the artifact with this SHA-256 may be run."""
        if not self._keys:
            return
        if signature is None:
            raise InvalidInputError(
                f"the artifact {digest[:12]} is not signed: sign it with runtara-ctl sign, and register it with "
                "--signature"
            )
        if not any(key.accepts(digest, signature) for key in self._keys):
            raise InvalidInputError(
                f"the signature of the artifact {digest[:12]} is wrong: it was made with none of the keys that are "
                "accepted here, or of another file"
            )
