"""Certificates on core's port: a new authority, given ones, and their replacement while core runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtara_core.certificate_files import RotationStep
from runtara_core.certificates import rotate_authority
from runtara_core.daemon import CoreDaemon
from runtara_core.settings import CoreSettings
from runtara_sdk import RuntaraError
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.testing.clock import ManualClock
from runtara_sdk.transport import TlsIdentity
from runtara_sdk.transport.quic import QuicClient

from .running_platform import until


@pytest.mark.parametrize("library", ["aioquic", "qh3"])
async def test_clients_follow_a_new_authority_while_core_runs(
    tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTARA_QUIC_LIBRARY", library)
    clock = ManualClock()
    core = CoreDaemon(
        CoreSettings(f"sqlite:///{tmp_path}/runtara.db", instance_port=0, management_port=0, data_dir=tmp_path),
        clock=clock,
    )
    await core.start()
    copied = tmp_path / "copied-ca.pem"
    live = core.identity.ca_path
    assert live is not None

    async def is_trusted(ca_file: Path) -> bool:
        client = QuicClient(core.instance_address, ca_file=ca_file, connect_timeout_ms=30_000)
        try:
            await client.connect()
        except RuntaraError:
            return False
        finally:
            await client.close()
        return True

    async def shows_another_certificate() -> bool:
        clock.advance(61_000)
        return (live.parent / "server.pem").read_bytes() != before

    try:
        copied.write_bytes(live.read_bytes())
        assert await is_trusted(copied)
        rotate_authority(tmp_path, RotationStep.PREPARE)
        assert await is_trusted(copied)
        assert await is_trusted(live)
        before = (live.parent / "server.pem").read_bytes()
        rotate_authority(tmp_path, RotationStep.SWITCH)
        await until(shows_another_certificate, "a new server certificate")

        async def old_copy_is_refused() -> bool:
            return not await is_trusted(copied)

        await until(old_copy_is_refused, "the new certificate on the port")
        assert await is_trusted(live)
        rotate_authority(tmp_path, RotationStep.FINISH)
        assert await is_trusted(live)
    finally:
        await core.close()


async def test_a_given_certificate_is_shown(tmp_path: Path) -> None:
    ca_file, identity = make_test_authority(tmp_path / "given", host_name="core.example.org")
    core = CoreDaemon(
        CoreSettings(
            f"sqlite:///{tmp_path}/runtara.db",
            instance_port=0,
            management_port=0,
            data_dir=tmp_path / "data",
            tls=TlsIdentity(identity.certificate_path, identity.private_key_path),
        )
    )
    await core.start()
    try:
        client = QuicClient(core.instance_address, server_name="core.example.org", ca_file=ca_file)
        await client.connect()
        await client.close()
        assert not (tmp_path / "data" / "tls").exists()
    finally:
        await core.close()


async def test_a_given_certificate_that_is_replaced_is_shown_without_a_restart(tmp_path: Path) -> None:
    old_ca, given = make_test_authority(tmp_path / "given")
    new_ca, successor = make_test_authority(tmp_path / "successor")
    clock = ManualClock()
    core = CoreDaemon(
        CoreSettings(
            f"sqlite:///{tmp_path}/runtara.db", instance_port=0, management_port=0, data_dir=tmp_path, tls=given
        ),
        clock=clock,
    )
    await core.start()

    async def trusts(ca_file: Path) -> bool:
        client = QuicClient(core.instance_address, ca_file=ca_file, connect_timeout_ms=30_000)
        try:
            await client.connect()
        except RuntaraError:
            return False
        finally:
            await client.close()
        return True

    async def new_is_shown() -> bool:
        clock.advance(61_000)
        return await trusts(new_ca)

    try:
        assert await trusts(old_ca)
        assert not await trusts(new_ca)
        given.private_key_path.write_bytes(successor.private_key_path.read_bytes())
        # Between the two writes the pair does not fit: the old certificate stays, with a warning.
        clock.advance(61_000)
        assert await trusts(old_ca)
        given.certificate_path.write_bytes(successor.certificate_path.read_bytes())
        await until(new_is_shown, "the new certificate")
        assert not await trusts(old_ca)
    finally:
        await core.close()
