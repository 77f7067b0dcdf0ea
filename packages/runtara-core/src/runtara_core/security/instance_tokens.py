"""Instance tokens: `rti1.<payload>.<mac>`, which bind a process to one launch of one instance.

The payload is JSON with the instance, its tenant, the epoch of the launch and the id of the secret that signed it; the
mac is HMAC-SHA256 over everything before it. Both are base64url without padding. A token needs no expiry of its own:
the storage refuses its epoch as soon as a newer launch exists.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field

_PREFIX = "rti1"
_SECRET_BYTES = 32
_MAX_TOKEN_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class TokenSecret:
    """A secret that tokens are signed with."""

    secret_id: str
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> TokenSecret:
        """A new random secret."""
        return cls(secrets.token_hex(8), secrets.token_bytes(_SECRET_BYTES))


@dataclass(frozen=True, slots=True)
class TokenSecrets:
    """The secrets in force: the current one signs, both verify."""

    current: TokenSecret
    previous: TokenSecret | None = None

    def find(self, secret_id: str) -> TokenSecret | None:
        """The secret of that id while it is in force."""
        return next((each for each in (self.current, self.previous) if each and each.secret_id == secret_id), None)


@dataclass(frozen=True, slots=True)
class InstanceToken:
    """What a token says."""

    instance_id: str
    tenant_id: str
    epoch: int

    def sign(self, secret: TokenSecret) -> str:
        """The token as text."""
        claims = {"i": self.instance_id, "t": self.tenant_id, "e": self.epoch, "k": secret.secret_id}
        signed = f"{_PREFIX}.{_encode(json.dumps(claims, separators=(',', ':')).encode())}"
        return f"{signed}.{_encode(_mac(secret, signed))}"


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token as it came in; nothing of it may be believed before `is_signed_by`."""

    token: InstanceToken
    secret_id: str
    signed: str = field(repr=False)
    mac: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> PresentedToken | None:
        """Take a token apart; None when it has another form."""
        if len(text) > _MAX_TOKEN_BYTES or not text.isascii():
            return None
        signed, _, mac = text.rpartition(".")
        prefix, _, payload = signed.partition(".")
        if prefix != _PREFIX:
            return None
        try:
            claims = json.loads(_decode(payload))
            instance_id, tenant_id, epoch, secret_id = (claims[name] for name in "itek")
            presented = cls(InstanceToken(instance_id, tenant_id, epoch), secret_id, signed, _decode(mac))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        texts = (instance_id, tenant_id, secret_id)
        return presented if all(isinstance(each, str) for each in texts) and type(epoch) is int else None

    def is_signed_by(self, secret: TokenSecret) -> bool:
        """Whether the secret made the mac; takes the same time for every wrong one."""
        return hmac.compare_digest(self.mac, _mac(secret, self.signed))


def _mac(secret: TokenSecret, signed: str) -> bytes:
    return hmac.new(secret.secret, signed.encode("ascii"), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if _encode(data) != text:
        # Unused bits of the last character: the same bytes in another spelling.
        raise ValueError("not canonical base64url")
    return data
