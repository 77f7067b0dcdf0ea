"""Secrets in what people are shown of a run: recognised by the names under which they stand.

The names are those that credentials have in headers, connections and bodies: `Authorization`, `api_key`,
`clientSecret`, `x-access-token`. What stands under such a name is not shown, whatever it is; names that only begin like
one (`token_count`) are no secrets.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRETS = frozenset(
    {
        "authorization",
        "connection",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "passphrase",
        "passwd",
        "password",
    }
    | {"pwd", "secret", "secrets", "token", "tokens", "apikey", "accesskey", "privatekey", "jwt"}
)
_KEYS = frozenset({"access", "api", "encryption", "master", "private", "secret", "shared", "signing"})
_NO_SECRETS = frozenset({"connection"})
"""Secret only with the underscore in front that the run time gives them."""


def redact(value: Any) -> Any:
    """A copy of a JSON value in which no secret can be read."""
    if isinstance(value, dict):
        return {
            key: REDACTED if item is not None and names_secret(key) else redact(item) for key, item in value.items()
        }
    return [redact(item) for item in value] if isinstance(value, list) else value


def _is_secret(key: str, value: Any) -> bool:
    return value is not None and names_secret(key)


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether what stands under a name is a secret: its last word says so, or its last two."""
    words = [word.lower() for word in _WORDS.findall(name.rpartition(".")[2])]
    if not words:
        return False
    if words[-1] == "key":
        return len(words) > 1 and words[-2] in _KEYS
    if words in (["proxy", "authorization"], ["set", "cookie"]):
        return True
    return words[-1] in _SECRETS and (words[-1] not in _NO_SECRETS or name.startswith("_"))
