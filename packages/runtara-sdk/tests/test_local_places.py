"""Local sockets: their addresses, and where those of a data directory lie."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from runtara_sdk import InstanceSettings, ManagementSettings
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport.address import format_local_address, is_local, parse_local_address
from runtara_sdk.transport.places import CORE_SOCKET, ENVIRONMENT_SOCKET, served_address, socket_path

INSTANCE = {"RUNTARA_INSTANCE_ID": "i", "RUNTARA_TENANT_ID": "t"}


@pytest.fixture
def data_dir():
    with tempfile.TemporaryDirectory(prefix="runtara-") as directory:
        yield Path(directory)


def test_an_address_is_a_scheme_and_an_absolute_path() -> None:
    address = format_local_address(Path("/run/runtara/core.sock"))
    assert address == "unix:///run/runtara/core.sock"
    assert parse_local_address(address) == Path("/run/runtara/core.sock")
    assert is_local(address)
    assert not is_local("127.0.0.1:8001")
    for wrong in ("unix://core.sock", "unix://", "/run/core.sock", "tcp:///x"):
        with pytest.raises(ConfigurationError, match="is not the address of a local socket"):
            parse_local_address(wrong)


def test_sockets_lie_in_the_data_directory(data_dir: Path) -> None:
    assert socket_path(data_dir, CORE_SOCKET) == data_dir / ".sockets" / CORE_SOCKET


def test_a_long_data_directory_has_its_sockets_elsewhere(data_dir: Path) -> None:
    long, other = data_dir / ("x" * 120), data_dir / ("y" * 120)
    path = socket_path(long, CORE_SOCKET)
    assert path.parent.parent == Path(tempfile.gettempdir())
    assert f"runtara-{os.geteuid()}-" in path.parent.name
    assert path == socket_path(long, CORE_SOCKET)
    assert path.parent == socket_path(long, ENVIRONMENT_SOCKET).parent
    assert path.parent != socket_path(other, CORE_SOCKET).parent


def test_clients_take_the_socket_of_their_data_directory(data_dir: Path) -> None:
    variables = {**INSTANCE, "DATA_DIR": str(data_dir)}
    assert served_address(data_dir, CORE_SOCKET) is None
    assert InstanceSettings.from_environment(EnvironmentReader(variables)).server_addr == "127.0.0.1:8001"
    assert ManagementSettings.from_environment(EnvironmentReader(variables)).server_addr == "127.0.0.1:8002"
    (data_dir / ".sockets").mkdir()
    with socket.socket(socket.AF_UNIX) as core, socket.socket(socket.AF_UNIX) as environment:
        core.bind(str(socket_path(data_dir, CORE_SOCKET)))
        environment.bind(str(socket_path(data_dir, ENVIRONMENT_SOCKET)))
        settings = InstanceSettings.from_environment(EnvironmentReader(variables))
        assert settings.server_addr == f"unix://{data_dir}/.sockets/core.sock"
        assert not settings.is_embedded
        management = ManagementSettings.from_environment(EnvironmentReader(variables))
        assert management.server_addr == f"unix://{data_dir}/.sockets/environment.sock"
        named = {**variables, "RUNTARA_SERVER_ADDR": "core.example.org:8001"}
        assert InstanceSettings.from_environment(EnvironmentReader(named)).server_addr == "core.example.org:8001"


def test_spellings_of_one_long_directory_have_the_same_sockets(data_dir: Path) -> None:
    long = data_dir / ("x" * 120)
    long.mkdir()
    link = data_dir / ("y" * 120)
    link.symlink_to(long)
    path = socket_path(long, CORE_SOCKET)
    assert socket_path(link, CORE_SOCKET) == path
    assert socket_path(long / "sub" / "..", CORE_SOCKET) == path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory that is somebody else's")
def test_a_socket_among_temporary_files_of_somebody_else_is_not_taken(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(data_dir))
    path = socket_path(data_dir / ("x" * 120), CORE_SOCKET)
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as core:
        core.bind(str(path))
        assert served_address(data_dir / ("x" * 120), CORE_SOCKET) == f"unix://{path}"
        os.chown(path.parent, 12_345, 12_345)
        assert served_address(data_dir / ("x" * 120), CORE_SOCKET) is None
