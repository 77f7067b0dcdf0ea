"""Identifiers that callers choose, checked once and strictly before they touch rows, paths, names or URLs.

The original accepts any non-empty text. Here an identifier is 1 to 200 characters: ASCII letters, digits, `_`, and
after the first also `. : @ + = ~ , -`, never `..`: whatever passes is safe in a path and in a log line.
"""

from __future__ import annotations

import hashlib
import re

from runtara_sdk.errors import InvalidInputError

MAX_IDENTIFIER_LENGTH = 200

_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+=~,-]*\Z")
_MAX_SHOWN = 60

# What the data directory itself uses beside the tenants' directories. A name with a dot is always hashed, so files such
# as a database need no mention.
_RESERVED_COMPONENTS = frozenset(
    {
        "bundles",
        "cache",
        "certificates",
        "host-id",
        "images",
        "layers",
        "library_cache",
        "logs",
        "native",
        "pids",
        "tls",
    }
)
_MAX_PLAIN_COMPONENT = 100


def validate_identifier(kind: str, value: str) -> str:
    """Return `value` when it is acceptable; raises `InvalidInputError` naming `kind` (`instance_id`) and the rule."""
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{kind} is empty: give 1 to {MAX_IDENTIFIER_LENGTH} characters")
    if len(value) > MAX_IDENTIFIER_LENGTH:
        raise InvalidInputError(f"{kind} has {len(value)} characters: at most {MAX_IDENTIFIER_LENGTH} are accepted")
    if _PATTERN.match(value) is None or ".." in value:
        shown = value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "..."
        raise InvalidInputError(
            f"{kind} {shown!r} is not acceptable: use letters, digits and . _ - : @ + = ~ , "
            "(beginning with a letter, digit or _, without ..)"
        )
    return value


def refuse_empty(kind: str, value: str | None) -> str | None:
    """Return an id that may be left out; raises `InvalidInputError` for the empty text, which does not leave it out.

    A caller whose own key is empty would else get something else than it named, with each repetition anew.
    """
    if value == "":
        raise InvalidInputError(f"{kind} is empty: give an id, or leave it out")
    return value


def path_component(kind: str, value: str) -> str:
    """One path component for an identifier: itself, or a hash when it is long, has a dot or is a reserved name.

    Different identifiers never share a component. Raises `InvalidInputError` as `validate_identifier`.
    """
    validate_identifier(kind, value)
    if len(value) <= _MAX_PLAIN_COMPONENT and "." not in value and value not in _RESERVED_COMPONENTS:
        return value
    # No identifier begins with a tilde.
    return "~" + hashlib.sha256(value.encode()).hexdigest()[:40]
