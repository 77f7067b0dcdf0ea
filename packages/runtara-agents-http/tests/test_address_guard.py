"""Which addresses are refused, in every form in which they can be written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_http.address_guard import (
    ALLOWED_NETWORKS_VARIABLE,
    PRIVATE_NETWORKS_VARIABLE,
    AddressGuard,
    literal_address,
)
from runtara_sdk.errors import ConfigurationError

OPEN = AddressGuard()
STRICT = AddressGuard(refuses_private=True)

ALWAYS_REFUSED = (
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "fe80::1%eth0",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "255.255.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2001:0:808:808:0:0:5601:5601",
    "2001:db8::5efe:169.254.169.254",
    "not an address",
    "",
)
PRIVATE = (
    "10.0.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "240.0.0.1",
    "::1",
    "fc00::1",
    "fdff::1",
    "fec0::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
)
PUBLIC = ("1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::101:101", "2002:101:101::1")


@pytest.mark.parametrize("address", ALWAYS_REFUSED)
def test_some_addresses_are_refused_whatever_the_operator_says(address: str) -> None:
    everything = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    for guard in (OPEN, STRICT, AddressGuard(refuses_private=True, allowed=everything)):
        assert guard.refusal(address) is not None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_as_the_operator_says(address: str) -> None:
    assert OPEN.refusal(address) is None
    refused = STRICT.refusal(address)
    assert refused is not None
    assert ALLOWED_NETWORKS_VARIABLE in refused.remedy


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert OPEN.refusal(address) is None
    assert STRICT.refusal(address) is None


def test_the_operator_lists_networks_and_addresses() -> None:
    guard = AddressGuard.from_environment(
        {
            PRIVATE_NETWORKS_VARIABLE: "refused",
            ALLOWED_NETWORKS_VARIABLE: "10.1.0.0/16, 192.168.7.9,fd12::/16, ::ffff:172.16.0.0/112",
        }
    )
    for allowed in ("10.1.2.3", "::ffff:10.1.2.3", "192.168.7.9", "fd12::5", "172.16.3.4"):
        assert guard.refusal(allowed) is None, allowed
    for refused in ("10.2.0.1", "192.168.7.8", "fd13::5", "127.0.0.1", "172.17.0.1"):
        assert guard.refusal(refused) is not None, refused


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({PRIVATE_NETWORKS_VARIABLE: "maybe"}, PRIVATE_NETWORKS_VARIABLE),
        ({ALLOWED_NETWORKS_VARIABLE: "10.0.0.0/33"}, ALLOWED_NETWORKS_VARIABLE),
        ({ALLOWED_NETWORKS_VARIABLE: "10.0.0.1;10.0.0.2"}, ALLOWED_NETWORKS_VARIABLE),
        ({ALLOWED_NETWORKS_VARIABLE: "example.com"}, ALLOWED_NETWORKS_VARIABLE),
    ],
)
def test_a_value_that_cannot_be_read_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AddressGuard.from_environment(variables)


def test_nothing_set_allows_private_addresses() -> None:
    assert AddressGuard.from_environment({}) == AddressGuard()
    assert AddressGuard.from_environment(
        {PRIVATE_NETWORKS_VARIABLE: " Allowed ", ALLOWED_NETWORKS_VARIABLE: " , "}
    ) == (AddressGuard())


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0xa9.0xfe.0xa9.0xfe", "169.254.169.254"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.com", None),
        ("1.example.com", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_hosts_that_are_addresses_are_read_in_every_form(host: str, address: str | None) -> None:
    assert literal_address(host) == address


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_as_the_address_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    embeddings = (
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1),
        ipaddress.IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | (number ^ 0xFFFFFFFF)),
    )
    for guard in (OPEN, STRICT):
        if guard.refusal(str(address)) is not None:
            assert all(guard.refusal(str(embedded)) is not None for embedded in embeddings)


@given(st.text(max_size=40))
def test_any_text_is_judged_without_failing(text: str) -> None:
    literal_address(text)
    STRICT.refusal(text)
