"""Versions of images, their signatures, and what both refuse."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from runtara_core.database import Database, create_database
from runtara_environment import migrations
from runtara_environment.registry import ArtifactUnavailableError, ImageRegistry, SignaturePolicy
from runtara_environment.sql.queries import environment_queries
from runtara_sdk.artifact.signing import sign_artifact
from runtara_sdk.errors import ConfigurationError, ImageNotFoundError, InvalidInputError
from runtara_sdk.testing.clock import ManualClock

PROGRAM = b"#!/bin/sh\necho %d\n"
HOUR_MS = 3_600_000


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = create_database(f"sqlite:///{tmp_path}/runtara.db", environment_queries())
    await database.open()
    await migrations.run(database)
    yield database
    await database.close()


async def test_versions_are_listed_and_used(database: Database, tmp_path: Path) -> None:
    clock = ManualClock()
    registry = ImageRegistry(database, tmp_path / "data", clock=clock)
    for number in (1, 2, 3, 1):
        clock.advance(10)
        image = await registry.register(tenant_id="t-1", name="orders", artifact=PROGRAM % number)
    assert (image.version, image.current_version) == (1, 1)
    versions = await registry.list_versions(image.image_id, "t-1")
    assert [each.version for each in versions] == [3, 2, 1]
    assert versions[2].last_used_at_ms == versions[1].version_created_at_ms + 20
    assert await registry.list_versions(image.image_id, "t-1", before_version=3, limit=1) == [versions[1]]
    for tenant_id, image_id in (("t-2", image.image_id), ("t-1", "unknown")):
        with pytest.raises(ImageNotFoundError):
            await registry.list_versions(image_id, tenant_id)
    assert (await registry.use(image.image_id, "t-1", version=2)).digest == versions[1].digest
    with pytest.raises(ImageNotFoundError, match="version 9 of image"):
        await registry.use(image.image_id, "t-1", version=9)
    clock.advance(HOUR_MS)
    await registry.use(image.image_id, "t-1", version=2)
    used = await registry.list_versions(image.image_id, "t-1")
    assert [each.last_used_at_ms == clock.now_ms() for each in used] == [False, True, False]


async def test_only_what_is_signed_with_a_known_key_is_taken_and_launched(database: Database, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    keys = tmp_path / "keys"
    keys.mkdir()
    for name, public in (("a", Ed25519PrivateKey.generate().public_key()), ("b", key.public_key())):
        (keys / f"{name}.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    program = tmp_path / "program"
    program.write_bytes(PROGRAM % 1)
    signature = sign_artifact(program, tmp_path / "key.pem")
    strict = ImageRegistry(database, tmp_path / "data", signatures=SignaturePolicy.of(keys))
    other_key = ImageRegistry(database, tmp_path / "data", signatures=SignaturePolicy.of(keys / "a.pem"))
    for wrong, message in ((None, "is not signed"), (bytes(64), "is wrong")):
        with pytest.raises(InvalidInputError, match=message):
            await strict.register(tenant_id="t-1", name="orders", artifact=PROGRAM % 1, signature=wrong)
    assert (await strict.list_images()).total_count == 0
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == []

    unsigned = await ImageRegistry(database, tmp_path / "data").register(
        tenant_id="t-1", name="orders", artifact=PROGRAM % 1
    )
    with pytest.raises(ArtifactUnavailableError, match="is not signed"):
        await strict.resolve(unsigned.image_id, "t-1")
    signed = await strict.register(tenant_id="t-1", name="orders", artifact=PROGRAM % 1, signature=signature)
    assert (signed.version, signed.signature) == (1, signature)
    assert (await strict.resolve(signed.image_id, "t-1")).digest == signed.digest
    with pytest.raises(ArtifactUnavailableError, match="none of the keys"):
        await other_key.resolve(signed.image_id, "t-1")


def test_keys_that_are_missing_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no public keys"):
        SignaturePolicy.of(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        SignaturePolicy.of(tmp_path / "missing.pem")
