"""An image that is not signed as its host wants it waits longer and longer, and goes on once it is registered again."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from runtara_environment.registry import ImageRegistry, SignaturePolicy, SignatureRefusedError
from runtara_environment.supervision.refused_signatures import (
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    LOOK_AGAIN_MS,
    RefusedSignatures,
)
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.artifact.signing import sign_artifact

PROGRAM = b"#!/bin/sh\n"


async def test_pauses_grow_and_instances_of_one_image_count_as_one(host: SupervisedHost) -> None:
    refused = RefusedSignatures(host.registry, host.clock)
    image = (await host.registry.list_images(TENANT)).images[0]
    error = SignatureRefusedError("not signed", image.updated_at_ms)
    pauses = []
    for _ in range(9):
        pauses.append(refused.refuse(image.image_id, error))
        host.clock.advance(1_000)
        assert refused.refuse(image.image_id, error) == pauses[-1] - 1_000
        host.clock.advance(pauses[-1])
    assert pauses[:3] == [FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS, 4 * FIRST_PAUSE_MS]
    assert pauses[-1] == LONGEST_PAUSE_MS
    assert await refused.registered_again() == []
    await host.prepare()
    assert await refused.registered_again() == [image.image_id]
    assert not refused
    changed = SignatureRefusedError("not signed", host.clock.now_ms())
    assert refused.refuse(image.image_id, changed) == FIRST_PAUSE_MS
    assert refused.refuse("gone", changed) == FIRST_PAUSE_MS
    assert "gone" in await refused.registered_again()


async def test_the_instance_tells_why_it_waits_and_is_launched_once_the_image_is_signed(
    host: SupervisedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = tmp_path / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    trusting = ImageRegistry(host.database, tmp_path, clock=host.clock, signatures=SignaturePolicy.of(public))
    monkeypatch.setattr(host, "_registry", trusting)
    await host.create()
    supervisor = await host.supervise()
    began_ms = host.clock.now_ms()

    async def is_told() -> bool:
        error = (await host.instance()).error or ""
        told = re.search(r"is not signed.*again in (\d+) s, or when it is registered again", error)
        return told is not None and int(told[1]) > 30

    await host.until(is_told, "the third refusal", advance_ms=500)
    assert host.clock.now_ms() - began_ms >= 3 * FIRST_PAUSE_MS
    # Through another environment, which this one hears of by the row alone.
    (tmp_path / "program").write_bytes(PROGRAM)
    signature = sign_artifact(tmp_path / "program", tmp_path / "key.pem")
    assert hashlib.sha256(PROGRAM).hexdigest() in {image.digest for image in (await trusting.list_images()).images}
    host.clock.advance(1)
    await trusting.register(tenant_id=TENANT, name="program", artifact=PROGRAM, signature=signature)
    signed_ms = host.clock.now_ms()
    await host.launched(epoch=(await host.instance()).epoch + 1, advance_ms=100)
    assert host.clock.now_ms() - signed_ms < 3 * LOOK_AGAIN_MS
    assert supervisor.live_count == 1
