"""Tokens of OAuth 2.0 clients (RFC 6749, section 4.4): fetched when needed, kept until shortly before their end.

oauthlib writes the request and reads the answer; the request itself takes the same guarded network as every other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.parse
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from runtara_sdk.agents import AgentError

from runtara_agents_http.connection_types import OAuth2Parameters
from runtara_agents_http.credentials import basic_header
from runtara_agents_http.failures import (
    OAUTH_INVALID_CREDENTIALS,
    OAUTH_INVALID_RESPONSE,
    OAUTH_REFUSED,
    OAUTH_UNAVAILABLE,
)
from runtara_agents_http.retry_after import retry_after_ms
from runtara_agents_http.target import without_credentials
from runtara_agents_http.tls import secret_digest

if TYPE_CHECKING:
    import httpx

RESPONSE_BYTES = 1024 * 1024
_FETCH_SECONDS = 30.0
_MOST_TOKENS = 256
_LIFETIME_SECONDS = 600.0
"""Of a token whose server does not say."""
_LONGEST_LIFETIME_SECONDS = 86_400.0
_MARGIN_SECONDS = 60.0
_CLIENT_ERRORS = frozenset({"invalid_client", "unauthorized_client"})
_TRANSIENT_ERRORS = frozenset({"server_error", "temporarily_unavailable", "slow_down"})


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What an authorization server answered: status, headers, and at most `RESPONSE_BYTES` of the body."""

    status: int
    headers: httpx.Headers
    content: bytes


Post = Callable[[str, dict[str, str], bytes], Awaitable[TokenAnswer]]
"""Sends a form: URL, headers, body."""


@dataclass(slots=True)
class _Token:
    value: str = field(repr=False)
    until: float  # of the monotonic clock


class TokenCache:
    """Tokens of one process by client; of calls at the same time that need the same token, one fetches it."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, _Token] = OrderedDict()
        self._fetches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[_Token]]] = (
            weakref.WeakKeyDictionary()
        )

    async def token(self, client: OAuth2Parameters, place: str, post: Post, *, refused: str | None = None) -> str:
        """A token of a client.

        Args:
            client: who asks; its secret is kept as a digest only.
            place: tells apart the ways to the same authorization server.
            post: sends the request, if one is needed.
            refused: a token that was not accepted; it is not given again.

        Raises:
            AgentError: one of `OAUTH2_ERRORS`.
        """
        key = secret_digest(
            client.token_url,
            client.client_id,
            client.client_secret,
            client.scope or "",
            client.audience or "",
            client.client_authentication,
            place,
        )
        known = self._tokens.get(key)
        if known is not None and known.value != refused and known.until > monotonic():
            self._tokens.move_to_end(key)
            return known.value
        fetches = self._fetches.setdefault(asyncio.get_running_loop(), {})
        fetch = fetches.get(key)
        if fetch is None:
            fetch = fetches[key] = asyncio.ensure_future(self._fetch(key, client, post))
            fetch.add_done_callback(lambda done: _forget(fetches, key, done))
        # The fetch serves all who wait for it, so none of them takes it along when it is cancelled.
        return (await asyncio.shield(fetch)).value

    async def close(self) -> None:
        """End the fetches of the running event loop."""
        for fetch in list(self._fetches.pop(asyncio.get_running_loop(), {}).values()):
            fetch.cancel()
            with contextlib.suppress(asyncio.CancelledError, AgentError):
                await fetch

    async def _fetch(self, key: str, client: OAuth2Parameters, post: Post) -> _Token:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                token = await _fetched(client, post)
        except TimeoutError:
            raise _unavailable(client, f"no answer within {_FETCH_SECONDS:.0f} s") from None
        self._tokens[key] = token
        while len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)
        return token


def _forget(fetches: dict[str, asyncio.Task[_Token]], key: str, done: asyncio.Task[_Token]) -> None:
    fetches.pop(key, None)
    if not done.cancelled():
        done.exception()  # it was raised where somebody waited; nobody else asks


async def _fetched(client: OAuth2Parameters, post: Post) -> _Token:
    from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

    scopes: list[object] | None = list(client.scope.split()) if client.scope else None
    extra = {"audience": client.audience} if client.audience else {}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if client.client_authentication == "body":
        extra |= {"client_secret": client.client_secret}
    else:
        # RFC 6749, section 2.3.1: both are form-encoded before they are put together.
        name, word = urllib.parse.quote_plus(client.client_id), urllib.parse.quote_plus(client.client_secret)
        headers["Authorization"] = basic_header(name, word)
    protocol = BackendApplicationClient(client.client_id)
    form = protocol.prepare_request_body(
        scope=scopes, include_client_id=client.client_authentication == "body", **extra
    )
    answer = await post(client.token_url, headers, form.encode())
    began = monotonic()
    if answer.status == 429 or answer.status >= 500:
        raise _unavailable(client, f"status {answer.status}", retry_after_ms(answer.headers))
    try:
        # Without a scope of its own, the client accepts that the server grants another one.
        found = protocol.parse_request_body_response(answer.content.decode(errors="replace"))
    except OAuth2Error as error:
        raise _refusal(client, answer.status, str(error.error or ""), str(error.description or "")) from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _refusal(client, answer.status, "", "") from None
    value = found.get("access_token")
    if not 200 <= answer.status <= 299 or not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise _refusal(client, answer.status, "", "")
    if str(found.get("token_type") or "bearer").lower() != "bearer":
        raise _invalid(client, "the token is of another type than bearer")
    lifetime = found.get("expires_in")
    if lifetime is None:  # oauthlib takes a lifetime of nothing for none
        lifetime = 0 if _lives_for_nothing(answer.content) else _LIFETIME_SECONDS
    seconds = float(lifetime)
    seconds = min(seconds, _LONGEST_LIFETIME_SECONDS)
    return _Token(value, began + seconds - min(_MARGIN_SECONDS, seconds / 10))


def _lives_for_nothing(content: bytes) -> bool:
    try:
        document = json.loads(content)
        return isinstance(document, dict) and float(document.get("expires_in", 1)) == 0
    except (ValueError, TypeError, RecursionError):
        return False


def _refusal(client: OAuth2Parameters, status: int, code: str, description: str) -> AgentError:
    if code in _TRANSIENT_ERRORS:
        return _unavailable(client, code)
    if code in _CLIENT_ERRORS or status == 401:
        return AgentError.permanent(
            OAUTH_INVALID_CREDENTIALS,
            f"{_shown(client)} does not accept the client ({code or status}): check client_id, client_secret and "
            "client_authentication of the connection",
            attributes={"token_url": _shown(client), "error": code or None},
        )
    if not code or code == "missing_token":
        return _invalid(client, f"status {status} without a token")
    told = f"{code[:100]}: {description[:200]}" if description else code[:100]
    return AgentError.permanent(
        OAUTH_REFUSED,
        f"{_shown(client)} refuses a token: {told}; check scope and audience of the connection",
        attributes={"token_url": _shown(client), "error": code[:100]},
    )


def _invalid(client: OAuth2Parameters, reason: str) -> AgentError:
    shown = _shown(client)
    text = f"{shown} does not answer as an authorization server: {reason}; check token_url of the connection"
    return AgentError.permanent(OAUTH_INVALID_RESPONSE, text, attributes={"token_url": shown})


def _unavailable(client: OAuth2Parameters, reason: str, retry_after: int | None = None) -> AgentError:
    shown = _shown(client)
    return AgentError.transient(
        OAUTH_UNAVAILABLE, f"{shown}: {reason}", attributes={"token_url": shown}, retry_after_ms=retry_after
    )


def _shown(client: OAuth2Parameters) -> str:
    return without_credentials(client.token_url).partition("?")[0]
