"""Private keys and host keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents import AgentError

from runtara_agents_sftp.failures import HOST_KEY_MISMATCH, HOST_KEY_UNKNOWN
from runtara_agents_sftp.parameters import INVALID_CREDENTIALS, HostParameters

if TYPE_CHECKING:
    import paramiko


def read_private_key(text: str, passphrase: str | None) -> paramiko.PKey:
    """A private key of any kind and format: OpenSSH, PKCS#1, PKCS#8, SEC1, each encrypted or not.

    Raises:
        AgentError: permanent SFTP_INVALID_CREDENTIALS; the text of the key is not told.
    """
    import paramiko
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    content = "\n".join(line.strip() for line in text.strip().splitlines()).encode() + b"\n"
    password = passphrase.encode() if passphrase else None
    is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        try:
            key = load(content, password)
        except TypeError:  # a passphrase for a key that has none, or none for one that has
            if password is None:
                raise _unusable("it is encrypted: give its passphrase") from None
            key = load(content, None)
    except (ValueError, UnsupportedAlgorithm) as error:
        if password and any(word in str(error).lower() for word in ("decrypt", "password", "corrupt")):
            raise _unusable("the passphrase is wrong, or it is damaged") from None
        raise _unusable("it is no private key, or damaged") from None
    kinds: tuple[tuple[Any, Any], ...] = (
        (rsa.RSAPrivateKey, paramiko.RSAKey),
        (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
        (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
    )
    kind: Any = next((ours for theirs, ours in kinds if isinstance(key, theirs)), None)
    if kind is None:
        raise _unusable("its kind is not supported: use Ed25519, ECDSA or RSA")
    # The library reads fewer formats than it has kinds of keys, but this one of each.
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    try:
        read: paramiko.PKey = kind.from_private_key(io.StringIO(plain.decode()))
        return read
    except paramiko.SSHException as error:
        raise _unusable(str(error)[:200]) from None


def fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -l` prints it: `SHA256:` and base64 without padding."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


class TrustedHostKeys:
    """The host keys that a connection names."""

    def __init__(self, parameters: HostParameters) -> None:
        self._host = parameters.host
        self._ignores = parameters.host_key_policy == "ignore"
        self._keys = [_host_key(line) for line in _lines(parameters.host_key)]
        given = (parameters.host_key_fingerprint or "").replace(",", " ").split()
        self._fingerprints = frozenset(_fingerprint_text(text) for text in given)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Types of the named keys, so that the server is asked for one of them; empty when they are not known."""
        kinds: dict[str, None] = {}
        for kind, _ in self._keys:
            kinds.update(dict.fromkeys(("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)))
        return tuple(kinds)

    @property
    def has_fingerprints_only(self) -> bool:
        """Whether a key of another type than the server shows first may be the one that is meant."""
        return bool(self._fingerprints) and not self._keys and not self._ignores

    def check(self, key: paramiko.PKey) -> None:
        """Raise `AgentError` unless the key is one of them."""
        shown = fingerprint(key)
        details = {"host": self._host, "fingerprint": shown}
        if self._ignores:
            return
        if not self._keys and not self._fingerprints:
            raise AgentError.permanent(
                HOST_KEY_UNKNOWN,
                f"{self._host} shows the host key {key.get_name()} {shown}, and the connection names none: compare it "
                "with what the operator of the server says, and set host_key or host_key_fingerprint",
                attributes=details,
            )
        if shown in self._fingerprints or (key.get_name(), key.asbytes()) in self._keys:
            return
        raise AgentError.permanent(
            HOST_KEY_MISMATCH,
            f"{self._host} shows the host key {key.get_name()} {shown}, which is not one of the connection's: it was "
            "changed, or somebody stands in between",
            attributes=details,
        )


def _lines(text: str | None) -> list[str]:
    return [line for line in (text or "").splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _host_key(line: str) -> tuple[str, bytes]:
    """Type and key of a line: with or without the names of hosts before them, and a comment behind."""
    words = line.split()
    if line.startswith("@"):
        text = "host_key: a line is a mark of a known_hosts file, as `@revoked` is; give host keys alone"
        raise AgentError.permanent(INVALID_CREDENTIALS, text)
    for at, word in enumerate(words[:-1]):
        if word.startswith(("ssh-", "ecdsa-", "sk-")):
            try:
                return word, base64.b64decode(words[at + 1], validate=True)
            except (binascii.Error, ValueError):
                break
    raise AgentError.permanent(
        INVALID_CREDENTIALS, "host_key: a line is no public key such as `ssh-ed25519 AAAAC3Nz...`"
    )


def _fingerprint_text(text: str) -> str:
    plain = text.removeprefix("SHA256:").rstrip("=")
    if len(plain) != 43:
        raise AgentError.permanent(
            INVALID_CREDENTIALS, "host_key_fingerprint: give SHA-256 fingerprints as `ssh-keygen -l` prints them"
        )
    return f"SHA256:{plain}"


def _unusable(reason: str) -> AgentError:
    return AgentError.permanent(INVALID_CREDENTIALS, f"private_key: {reason}")
