"""Which addresses the agent may connect to.

A step may name any host, and a name may lead anywhere, so the address is judged, never the name: after resolution, for
every connection, and that very address is then connected to.

| Address | |
|---|---|
| link-local, metadata services, unspecified, multicast, broadcast | refused always |
| private, loopback, shared (CGNAT), unique local, reserved | as the operator says (`AddressGuard.from_environment`) |
| anything else | allowed |

IPv6 addresses that carry an IPv4 address (mapped, translated, 6to4, NAT64, Teredo, ISATAP) are judged by both.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from runtara_sdk.errors import ConfigurationError

PRIVATE_NETWORKS_VARIABLE = "RUNTARA_HTTP_PRIVATE_NETWORKS"
ALLOWED_NETWORKS_VARIABLE = "RUNTARA_HTTP_ALLOWED_NETWORKS"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ALWAYS_REFUSED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "an unspecified address"),
    ("::/128", "an unspecified address"),
    ("169.254.0.0/16", "a link-local address, where metadata services are"),
    ("fe80::/10", "a link-local address"),
    ("224.0.0.0/4", "a multicast address"),
    ("ff00::/8", "a multicast address"),
    ("255.255.255.255/32", "the broadcast address"),
    ("100.100.100.200/32", "a metadata service"),  # Alibaba Cloud
    ("168.63.129.16/32", "a metadata service"),  # Azure
    ("192.0.0.192/32", "a metadata service"),  # Oracle Cloud
    ("fd00:ec2::/32", "a metadata service"),  # AWS
    ("fd20:ce::254/128", "a metadata service"),  # Google Cloud
    ("fd00:42::42/128", "a metadata service"),  # Scaleway
)
_REFUSED = tuple((ipaddress.ip_network(network), kind) for network, kind in _ALWAYS_REFUSED)

_LOCAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::1/128",
        "64:ff9b:1::/48",
        "100::/64",
        "fc00::/7",
        "fec0::/10",
    )
)
"""Not of the internet, whatever the interpreter's own tables say."""

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_EMBEDDING_IN_THE_END = tuple(
    ipaddress.IPv6Network(network) for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_ISATAP = (0x00005EFE, 0x02005EFE)
_LOCAL_KIND = "an address of a private or local network"


@dataclass(frozen=True, slots=True)
class RefusedAddress:
    """Why an address may not be connected to, in words that follow "is", and what changes that ("" for nothing)."""

    kind: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """The operator's decision.

    Attributes:
        refuses_private: whether private and local addresses are refused, but for those of `allowed`.
        allowed: networks whose addresses are allowed nevertheless; never those that are refused always.
    """

    refuses_private: bool = False
    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> AddressGuard:
        """The guard that the environment asks for.

        RUNTARA_HTTP_PRIVATE_NETWORKS is `allowed` (the default) or `refused`; RUNTARA_HTTP_ALLOWED_NETWORKS lists
        networks and addresses, separated by commas.

        Raises:
            ConfigurationError: a value cannot be read.
        """
        variables = os.environ if variables is None else variables
        word = variables.get(PRIVATE_NETWORKS_VARIABLE, "").strip().lower() or "allowed"
        if word not in ("allowed", "refused"):
            raise ConfigurationError(f"{PRIVATE_NETWORKS_VARIABLE} must be allowed or refused, not {word[:100]!r}")
        listed = variables.get(ALLOWED_NETWORKS_VARIABLE, "").split(",")
        return cls(word == "refused", tuple(_network(item.strip()) for item in listed if item.strip()))

    def refusal(self, address: str) -> RefusedAddress | None:
        """Why `address` may not be connected to; None when it may.

        Args:
            address: of IPv4 or IPv6, with or without a zone (`fe80::1%eth0`). A text that is none is refused.
        """
        try:
            parsed: Address = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return RefusedAddress("not an address")
        for form in _forms(parsed):
            if (refused := self._judged(form)) is not None:
                return refused
        return None

    def _judged(self, address: Address) -> RefusedAddress | None:
        for network, kind in _REFUSED:
            if address in network:
                return RefusedAddress(kind)
        if not self.refuses_private or not _is_local(address) or _within(address, self.allowed):
            return None
        return RefusedAddress(_LOCAL_KIND, f"the operator can list it in {ALLOWED_NETWORKS_VARIABLE}")


def literal_address(host: str) -> str | None:
    """The address that a host of a URL is, in any of the forms that resolvers read (decimal, octal, short); or None."""
    text = host.strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not text[:1].isdigit():
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(text))
    except (OSError, ValueError):
        return None


def _forms(address: Address) -> Iterator[Address]:
    """The address, and those of IPv4 that packets to it may reach."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address in _MAPPED:  # the kernel connects to the IPv4 address itself
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return
    yield address
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if any(address in network for network in _EMBEDDING_IN_THE_END) and number > 1:
        yield last
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield last
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _is_local(address: Address) -> bool:
    return _within(address, _LOCAL) or not address.is_global


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ConfigurationError(
            f"{ALLOWED_NETWORKS_VARIABLE}: {text[:100]!r} is neither a network such as 10.1.0.0/16 nor an address; "
            "separate several with commas"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network
