"""Ports that other machines can reach are served only where keys protect them."""

from __future__ import annotations

import asyncio
import ipaddress

from runtara_sdk.errors import ConfigurationError

from runtara_core.security.credentials import CredentialStore


async def require_key_when_exposed(bind_address: str | None, store: CredentialStore) -> bool:
    """Whether `bind_address` is reachable from other machines; None, which binds no port, is not.

    Raises `ConfigurationError` naming the remedy when it is and no API key exists.
    """
    if bind_address is None or await is_loopback_only(bind_address):
        return False
    if not await store.list_api_keys(include_revoked=False):
        raise ConfigurationError(
            f"{bind_address or 'the empty address'} can be reached from other machines, and no API key exists: create "
            "one with `runtara keys create --operator`, or serve this machine alone with RUNTARA_BIND_ADDRESS=127.0.0.1"
        )
    return True


async def is_loopback_only(host: str) -> bool:
    """Whether an address or name to bind belongs to this machine alone."""
    if not host:
        return False
    try:
        return _is_loopback(host)
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}: {error.strerror or error}") from error
    return bool(found) and all(_is_loopback(str(address[0])) for *_, address in found)


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
