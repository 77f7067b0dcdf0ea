"""API keys, redaction, and the refusal to serve other machines without keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.security import KeyRing, Principal, issue_api_key, require_key_when_exposed
from runtara_core.security.exposure import is_loopback_only
from runtara_core.security.key_ring import REFRESH_MS
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import ConfigurationError, PermissionDeniedError, UnauthenticatedError
from runtara_sdk.redaction import redact_bytes, redact_text
from runtara_sdk.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = await open_storage(f"sqlite:///{tmp_path}/core.db")
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def keys(storage: Storage, clock: ManualClock) -> KeyRing:
    return KeyRing(storage.credentials, clock)


async def create(storage: Storage, tenant_id: str | None) -> str:
    issued = issue_api_key(tenant_id=tenant_id, name="", now_ms=1)
    await storage.credentials.create_api_key(issued.record)
    return issued.text


async def test_without_any_key_calls_are_open(keys: KeyRing) -> None:
    assert await keys.authenticate(None) is None
    assert await keys.authenticate("anything") is None
    await keys.require_operator(None)


async def test_an_exposed_port_is_never_open(storage: Storage, clock: ManualClock) -> None:
    keys = KeyRing(storage.credentials, clock, always_required=True)
    with pytest.raises(UnauthenticatedError):
        await keys.authenticate(None)


async def test_a_key_stands_for_its_tenant(keys: KeyRing, storage: Storage) -> None:
    tenant, operator = await create(storage, "tenant-1"), await create(storage, None)
    assert await keys.authenticate(tenant) == Principal("tenant-1")
    assert await keys.authenticate(operator) == Principal(None)
    await keys.require_operator(operator)
    with pytest.raises(PermissionDeniedError):
        await keys.require_operator(tenant)


async def test_wrong_keys_are_refused(keys: KeyRing, storage: Storage) -> None:
    good, other = await create(storage, "tenant-1"), await create(storage, "tenant-1")
    secret_of_other = good[: good.index("_", 4)] + other[other.index("_", 4) :]
    flipped = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
    for wrong in (None, "", "rtk", good[:-1], good + "x", flipped, secret_of_other, good.upper(), "rtk_ä_" + "a" * 43):
        with pytest.raises(UnauthenticatedError):
            await keys.authenticate(wrong)


async def test_revocation_takes_effect_within_the_refresh(keys: KeyRing, storage: Storage, clock: ManualClock) -> None:
    gone = await create(storage, "tenant-1")
    await create(storage, None)
    assert await keys.authenticate(gone) is not None
    await storage.credentials.revoke_api_key(gone.split("_")[1], now_ms=clock.now_ms())
    clock.advance(REFRESH_MS)
    with pytest.raises(UnauthenticatedError):
        await keys.authenticate(gone)


async def test_a_clock_that_is_set_back_keeps_no_revoked_key_alive(
    keys: KeyRing, storage: Storage, clock: ManualClock
) -> None:
    gone = await create(storage, "tenant-1")
    await create(storage, None)
    assert await keys.authenticate(gone) is not None
    await storage.credentials.revoke_api_key(gone.split("_")[1], now_ms=clock.now_ms())
    clock.advance(-REFRESH_MS)
    with pytest.raises(UnauthenticatedError):
        await keys.authenticate(gone)


async def test_calls_cost_no_query(keys: KeyRing, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await create(storage, "tenant-1")
    await keys.authenticate(good)

    async def refuse(**_: object) -> None:
        raise AssertionError("a query")

    monkeypatch.setattr(storage.credentials, "list_api_keys", refuse)
    for number in range(100):
        await keys.authenticate(good)
        with pytest.raises(UnauthenticatedError):
            await keys.authenticate(f"rtk_{number:016x}_{'a' * 43}")


def test_keys_are_not_shown() -> None:
    issued = issue_api_key(tenant_id=None, name="", now_ms=1)
    assert issued.text not in repr(issued)
    assert issued.text.split("_", 2)[2].encode() not in issued.record.secret_sha256
    assert len(issued.record.secret_sha256) == 32


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost"])
async def test_loopback_needs_no_key(host: str, storage: Storage) -> None:
    assert not await require_key_when_exposed(host, storage.credentials)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.1.2.3", "::ffff:10.1.2.3", "192.168.0.1"])
async def test_other_addresses_need_one(host: str, storage: Storage) -> None:
    assert not await is_loopback_only(host)
    with pytest.raises(ConfigurationError, match="runtara keys create --operator"):
        await require_key_when_exposed(host, storage.credentials)
    await create(storage, None)
    assert await require_key_when_exposed(host, storage.credentials)


def test_secrets_are_taken_out_of_texts() -> None:
    key = issue_api_key(tenant_id=None, name="", now_ms=1).text
    token = "rti1." + "eyJ" * 20 + "." + "x" * 43
    text = f'{{"key": "{key}", "token": "{token}", "other": "rtk_ and rti1. stay"}}'
    redacted = '{"key": "[redacted]", "token": "[redacted]", "other": "rtk_ and rti1. stay"}'
    assert redact_text(text) == redacted
    assert redact_bytes(text.encode()) == redacted.encode()
