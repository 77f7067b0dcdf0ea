"""The request for a token, over the network of every other request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtara_sdk.agents import AgentError

from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.failures import OAUTH_UNAVAILABLE, address_refused, transport_error
from runtara_agents_http.oauth2 import RESPONSE_BYTES, Post, TokenAnswer
from runtara_agents_http.target import invalid_url, resolve_target, without_credentials

if TYPE_CHECKING:
    from runtara_agents_http.transport_settings import TransportSettings


def token_requests(pool: HttpClientPool, settings: TransportSettings | None) -> Post:
    """A function that posts a form with clients of `pool`; it follows no redirect, for the form holds a secret."""

    async def post(url: str, headers: dict[str, str], form: bytes) -> TokenAnswer:
        import httpx

        from runtara_agents_http.network import AddressRefusedError

        shown = without_credentials(url).partition("?")[0]
        resolve_target(url, "", {})
        lease = await pool.lease(settings)
        try:
            headers["Accept-Encoding"] = "identity"
            request = lease.client.build_request("POST", url, headers=headers, content=form)
            response = await lease.client.send(request, stream=True, auth=httpx.Auth())
            try:
                content = bytearray()
                async for piece in response.aiter_raw():
                    content += piece
                    if len(content) > RESPONSE_BYTES:
                        break
            finally:
                await response.aclose()
            return TokenAnswer(response.status_code, response.headers, bytes(content[:RESPONSE_BYTES]))
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise invalid_url(url, str(error)[:200]) from None
        except AddressRefusedError as error:
            raise address_refused(error, shown) from None
        except httpx.TransportError as error:
            told = transport_error(error, shown)
            if not told.retryable:
                raise told from error
            raise AgentError.transient(OAUTH_UNAVAILABLE, told.message, attributes={"token_url": shown}) from error
        finally:
            await lease.give_back()

    return post
