"""What a redirect carries: everything at the origin that the step named, and elsewhere nothing that may be a secret."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtara_agents_http.models import HttpRequestInput
from runtara_agents_http.target import DEFAULT_PORTS, Origin, invalid_url

if TYPE_CHECKING:
    import httpx

HARMLESS_HEADERS = frozenset({"accept", "accept-language", "user-agent"})
"""Headers of a step that every origin may see; the type of a body goes with the body."""

_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language"})
_OF_THE_CHANGE = frozenset({"idempotency-key"})


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may see the headers of a step: the origin that it named, and those that it trusts beside it."""

    origins: frozenset[Origin]
    headers: frozenset[str]

    @classmethod
    def of(cls, request: HttpRequestInput, first: Origin | None) -> Trust:
        """The trust that a step declares; raises `AgentError` for an origin that is none."""
        origins = {first} if first is not None else set()
        for text in request.trusted_redirect_origins:
            origins.add(_named_origin(text))
        return cls(frozenset(origins), frozenset(name.lower() for name in request.trusted_redirect_headers))

    def allowed(self, headers: Mapping[str, str], following: httpx.Request, method: str) -> dict[str, str]:
        """The headers of a step, whose method was `method`, that may go along to where a redirect leads."""
        at_home = (origin := parsed_origin(following.url)) is not None and origin in self.origins
        # A redirect that makes a POST a GET drops the body and what belongs to the change.
        left_behind = frozenset() if following.method == method else _OF_THE_BODY | _OF_THE_CHANGE
        everywhere = HARMLESS_HEADERS | self.headers | {"content-type"}
        return {
            name: value
            for name, value in headers.items()
            if name.lower() not in left_behind and (at_home or name.lower() in everywhere)
        }


def parsed_origin(url: httpx.URL) -> Origin | None:
    """The origin of a URL; None for something else than HTTP, which is refused when it is sent.

    All origins that are compared come from the parser that sends the request.
    """
    host = url.raw_host.decode("ascii", errors="replace").rstrip(".")
    if url.scheme not in DEFAULT_PORTS or not host:
        return None
    return url.scheme, host, DEFAULT_PORTS[url.scheme] if url.port is None else url.port


def _named_origin(text: str) -> Origin:
    import httpx

    try:
        origin = parsed_origin(httpx.URL(text))
    except (httpx.InvalidURL, ValueError):
        origin = None
    if origin is None:
        raise invalid_url(text, "trusted_redirect_origins holds origins such as https://host:port")
    return origin


def without_query(url: str, secrets: Mapping[str, str]) -> str:
    """The URL without these query parameters, which a server repeated in a redirect that leads elsewhere."""
    base, hash_sign, fragment = url.partition("#")
    head, mark, query = base.partition("?")
    kept = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if secrets.get(urllib.parse.unquote_plus(name)) != urllib.parse.unquote_plus(value):
            kept.append(pair)
    return f"{head}{mark}{'&'.join(kept)}{hash_sign}{fragment}"
