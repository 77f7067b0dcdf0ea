"""How requests at the origin of the credentials show who calls.

Every request at that origin is prepared; no other sees anything of it. A request that was refused with 401 may have a
second try: a challenge is answered, a token is fetched anew.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Protocol

from runtara_sdk.agents import AgentError

from runtara_agents_http.credentials import INVALID_AUTH, Credentials
from runtara_agents_http.headers import check_header
from runtara_agents_http.target import with_query

if TYPE_CHECKING:
    import httpx

DIGEST_UNSUPPORTED = "HTTP_DIGEST_UNSUPPORTED"

TokenOf = Callable[[str | None], Awaitable[str]]
"""A token, other than the one that was refused."""


class Authentication(Protocol):
    """One way to show who calls, for one exchange."""

    async def prepare(self, request: httpx.Request) -> None:
        """Add to a request what shows who calls."""

    async def answer(self, request: httpx.Request, response: httpx.Response) -> bool:
        """After a 401: prepare the request for another try; false when there is nothing else to try."""


class FixedCredentials:
    """Headers and query parameters; those of the step win."""

    def __init__(self, credentials: Credentials, stepwise: Mapping[str, str]) -> None:
        self._headers = {name: value for name, value in credentials.headers.items() if name.lower() not in stepwise}
        self._query = credentials.query

    async def prepare(self, request: httpx.Request) -> None:
        """Add them."""
        for name, value in self._headers.items():
            check_header(name, value)
            request.headers[name] = value
        if self._query:
            query = request.url.query.decode("ascii", errors="replace")
            present = {name for name, _ in urllib.parse.parse_qsl(query, keep_blank_values=True)}
            added = {name: value for name, value in self._query.items() if name not in present}
            request.url = type(request.url)(with_query(str(request.url), added))

    async def answer(self, request: httpx.Request, response: httpx.Response) -> bool:
        """They are what they are."""
        return False


class DigestChallenge:
    """Name and password for the challenge of a server (RFC 7616); its later requests carry the answer at once."""

    def __init__(self, name: str, word: str) -> None:
        import httpx

        if '"' in name or "\\" in name:
            raise AgentError.permanent(INVALID_AUTH, "Digest: the user name holds quotation marks or backslashes")
        self._digest = httpx.DigestAuth(name.encode(errors="replace"), word.encode(errors="replace"))
        self._flow: Generator[httpx.Request, httpx.Response, None] | None = None
        self._model: httpx.Request | None = None

    async def prepare(self, request: httpx.Request) -> None:
        """Answer the last challenge again, if there was one."""
        import httpx

        # Names are UTF-8 in an answer (RFC 7616), headers of steps Latin-1: it is made on a request without them.
        self._model = httpx.Request(request.method, request.url)
        self._flow = self._digest.auth_flow(self._model)
        next(self._flow)
        _take_over(self._model, request)

    async def answer(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Answer the challenge."""
        import httpx

        if self._flow is None or self._model is None:
            return False
        try:
            self._flow.send(response)
        except StopIteration:
            return False
        except (httpx.ProtocolError, KeyError, ValueError, NotImplementedError):
            raise AgentError.permanent(
                DIGEST_UNSUPPORTED,
                "the server's Digest challenge cannot be answered: its algorithm, its form or its quality of "
                "protection is not one of RFC 7616 without auth-int",
            ) from None
        _take_over(self._model, request)
        return True


def _take_over(model: httpx.Request, request: httpx.Request) -> None:
    """Add the answer to a challenge, and the cookie that came with it, byte for byte."""
    for name in ("Authorization", "Cookie"):
        values = [value for key, value in model.headers.raw if key.lower() == name.lower().encode()]
        if values and (name != "Cookie" or name not in request.headers):  # a cookie of the step wins
            text = values[-1].decode("latin-1")
            check_header(name, text)
            request.headers[name] = text


class BearerToken:
    """A token that is fetched when it is needed, and once more when the server refuses it."""

    def __init__(self, token_of: TokenOf) -> None:
        self._token_of = token_of
        self._used = ""

    async def prepare(self, request: httpx.Request) -> None:
        """Add the token; raises `AgentError` when there is none to be had."""
        await self._add(request, None)

    async def answer(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Take another token."""
        before = self._used
        await self._add(request, before)
        return self._used != before

    async def _add(self, request: httpx.Request, refused: str | None) -> None:
        self._used = await self._token_of(refused)
        request.headers["Authorization"] = f"Bearer {self._used}"


def authentication_of(
    credentials: Credentials, stepwise: Mapping[str, str], token_of: TokenOf
) -> Authentication | None:
    """The way that credentials ask for; None without any.

    Args:
        credentials: of the step or its connection.
        stepwise: headers of the step, in lower case; its own Authorization wins over any way that makes one.
        token_of: fetches a token of an OAuth 2.0 client.
    """
    if credentials.digest is not None and "authorization" not in stepwise:
        return DigestChallenge(*credentials.digest)
    if credentials.oauth2 is not None and "authorization" not in stepwise:
        return BearerToken(token_of)
    if credentials.headers or credentials.query:
        return FixedCredentials(credentials, stepwise)
    return None
