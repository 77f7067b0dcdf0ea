"""API keys: `rtk_<id>_<secret>`, shown once when made; only the SHA-256 of the secret is kept.

The secret has 256 random bits, so a plain digest cannot be searched and needs no salt.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

_PREFIX = "rtk"
_ID_BYTES = 8
_SECRET_BYTES = 32
_PATTERN = re.compile(r"rtk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a valid key stands for; `tenant_id` None is the operator, who may act for every tenant."""

    tenant_id: str | None

    @property
    def is_operator(self) -> bool:
        """Whether every tenant and the management of core are open to it."""
        return self.tenant_id is None


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """What is kept of a key.

    Attributes:
        key_id: public part, 16 hexadecimal digits.
        tenant_id: the only tenant it is good for; None is the operator.
        name: what people call it.
        created_at_ms: when it was made.
        revoked_at_ms: when it was revoked; None while it is good.
        secret_sha256: digest of its secret part.
    """

    key_id: str
    tenant_id: str | None
    name: str
    created_at_ms: int
    revoked_at_ms: int | None
    secret_sha256: bytes = field(repr=False)

    def accepts(self, secret: str) -> bool:
        """Whether `secret` is its secret part; takes the same time for every wrong one."""
        return self.revoked_at_ms is None and hmac.compare_digest(self.secret_sha256, _digest(secret))


@dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """A new key: the record to keep, and the text that its holder alone has."""

    record: ApiKeyRecord
    text: str = field(repr=False)


def issue_api_key(*, tenant_id: str | None, name: str, now_ms: int) -> IssuedApiKey:
    """Make a key; nothing is stored."""
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    record = ApiKeyRecord(key_id, tenant_id, name, now_ms, None, _digest(secret))
    return IssuedApiKey(record, f"{_PREFIX}_{key_id}_{secret}")


def split_api_key(text: str) -> tuple[str, str] | None:
    """Id and secret of a key, or None when the text is none."""
    match = _PATTERN.fullmatch(text)
    return None if match is None else (match.group(1), match.group(2))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()
