"""Networks of pasta: what is said before one is made."""

import socket
from pathlib import Path

import pytest
from runtara_environment.runners.oci import pasta
from runtara_environment.runners.oci.network_start import host_addresses
from runtara_environment.runners.oci.pasta import PastaSettings, forwarded_port, is_unreachable
from runtara_sdk.errors import ConfigurationError


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host has an address that no machine has."""
    monkeypatch.setattr(pasta.network_start, "host_addresses", lambda: ["127.0.0.1", "198.51.100.4"])


@pytest.mark.parametrize(
    ("text", "resolvers"),
    [(None, ()), ("", ()), ("192.0.2.53", ("192.0.2.53",)), (" 192.0.2.53, 8.8.8.8,", ("192.0.2.53", "8.8.8.8"))],
)
def test_resolvers_are_listed(text: str | None, resolvers: tuple[str, ...]) -> None:
    assert PastaSettings.from_text(text) == PastaSettings(resolvers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resolver.example.org", "'resolver.example.org' is no IPv4 address"),
        ("2001:db8::53", "'2001:db8::53' is no IPv4 address"),
        ("192.0.2.1, 127.0.0.53", "cannot reach 127.0.0.53"),
        ("169.254.169.253", "cannot reach 169.254.169.253"),
        ("198.51.100.4", "cannot reach 198.51.100.4"),
        ("192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4", "lists 4 servers; 3 can be used"),
    ],
)
def test_resolvers_that_cannot_be_used_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        PastaSettings.from_text(text)
    assert "RUNTARA_PASTA_DNS" in refused.value.message


def test_containers_ask_the_resolvers_of_the_host_that_they_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolvers = tmp_path / "resolv.conf"
    monkeypatch.setattr(pasta, "_RESOLVERS", resolvers)
    assert PastaSettings().files()["resolv.conf"] == ""
    resolvers.write_text("# local\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch x\n")
    assert PastaSettings().files()["resolv.conf"] == "nameserver 192.0.2.53\n"
    assert PastaSettings(("192.0.2.9",)).files()["resolv.conf"] == "nameserver 192.0.2.9\n"


@pytest.mark.parametrize(
    ("address", "port"),
    [
        (None, None),
        ("unix:///data/core.sock", None),
        ("127.0.0.1:8001", 8001),
        ("localhost:9001", 9001),
        ("core.example.org:8001", None),
        ("192.0.2.7:8001", None),
    ],
)
def test_the_port_that_is_passed_on(address: str | None, port: int | None) -> None:
    assert forwarded_port(address) == port


@pytest.mark.parametrize("address", ["127.0.0.2:8001", "198.51.100.4:8001", "169.254.1.1:8001", "[::1]:8001"])
def test_where_a_container_cannot_reach_core(address: str) -> None:
    with pytest.raises(ConfigurationError, match="set RUNTARA_CORE_ADDR to 127"):
        forwarded_port(address)


def test_addresses_of_the_host() -> None:
    assert "127.0.0.1" in host_addresses()
    assert all(socket.inet_aton(address) for address in host_addresses())
    assert is_unreachable("169.254.169.254")
    assert not is_unreachable("192.0.2.1")
