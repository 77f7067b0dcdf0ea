"""Where a request goes: the absolute URL and its origin."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence

from runtara_sdk.agents import AgentError

from runtara_agents_http.models import Scalar

DEFAULT_PORTS = {"http": 80, "https": 443}

_UNUSABLE = re.compile(r"[\x00-\x20\x7f\\]")

Origin = tuple[str, str, int]


def resolve_target(url: str, url_prefix: str, query: Mapping[str, Scalar | Sequence[Scalar]]) -> str:
    """The absolute URL of a request: prefix, URL and query together.

    Raises:
        AgentError: permanent HTTP_INVALID_URL.
    """
    is_absolute = url.lower().startswith(("http://", "https://"))
    full = url if is_absolute else url_prefix + url
    target_origin = _checked_origin(full, shown=url, has_prefix=bool(url_prefix))
    if url_prefix:
        prefix_origin = _checked_origin(url_prefix, shown="the connection's base_url", has_prefix=True)
        if not is_absolute and prefix_origin != target_origin:
            raise invalid_url(url, "a relative URL must not change the host of the connection's base_url")
    return with_query(full, query)


def origin_of(url: str) -> Origin:
    """Scheme, host and port.

    Raises:
        ValueError: not an HTTP URL with a host.
    """
    parts = urllib.parse.urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not an absolute http or https URL")
    port = parts.port
    return scheme, parts.hostname.lower().rstrip("."), DEFAULT_PORTS[scheme] if port is None else port


def scalar_text(value: object) -> str:
    """A JSON scalar as it stands in queries and forms."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def without_credentials(url: str) -> str:
    """The URL fit for messages: user and password taken out, cut to 500 characters."""
    head, separator, tail = url.partition("://")
    if separator:
        authority, slash, rest = tail.partition("/")
        url = f"{head}://{authority.rpartition('@')[2]}{slash}{rest}"
    return url[:500]


def password_in(url: str) -> str | None:
    """The password that stands before the host of a URL, decoded; None when there is none."""
    authority = url.partition("://")[2].partition("/")[0]
    user, at_sign, _ = authority.rpartition("@")
    return urllib.parse.unquote(user.partition(":")[2]) if at_sign else None


def with_query(url: str, query: Mapping[str, Scalar | Sequence[Scalar]]) -> str:
    """The URL with these parameters at the end of its query."""
    pairs = []
    for key, value in query.items():
        values = value if isinstance(value, list) else [value]
        pairs += [f"{_encoded(key)}={_encoded(scalar_text(item))}" for item in values]
    if not pairs:
        return url
    base, hash_sign, fragment = url.partition("#")
    separator = "&" if "?" in base else "?"
    return f"{base}{separator}{'&'.join(pairs)}{hash_sign}{fragment}"


def invalid_url(url: str, reason: str) -> AgentError:
    """The error for a URL that cannot be requested."""
    shown = without_credentials(url)
    return AgentError.permanent("HTTP_INVALID_URL", f"URL {shown!r} is not usable: {reason}", attributes={"url": shown})


def _checked_origin(url: str, *, shown: str, has_prefix: bool) -> Origin:
    if _UNUSABLE.search(url):
        raise invalid_url(shown, "it contains blanks, control characters or backslashes; percent-encode them")
    try:
        url.encode()
        return origin_of(url)
    except ValueError:
        remedy = "" if has_prefix else ", or use a connection with a base_url"
        raise invalid_url(shown, f"start it with http:// or https:// and a host{remedy}") from None


def _encoded(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~", errors="replace")
