"""Instance tokens: what is accepted, and every way in which one can be wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.management_service import ManagementService
from runtara_core.models import CoreLimits, NewInstance
from runtara_core.security import InstanceToken, KeyRing, TokenAuthority, TokenSecret, issue_api_key
from runtara_core.security.token_authority import REFRESH_MS
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_core.wire.instance_gate import InstanceGate
from runtara_sdk.errors import PermissionDeniedError, RuntaraError, StaleEpochError, UnauthenticatedError
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.testing.clock import ManualClock

TOKEN = InstanceToken("instance-1", "tenant-1", 3)
OTHER_TENANTS_KEY = "other"


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
def authority(storage: Storage, clock: ManualClock) -> TokenAuthority:
    return TokenAuthority(storage.credentials, clock)


@pytest.fixture
def keys(storage: Storage, clock: ManualClock) -> KeyRing:
    return KeyRing(storage.credentials, clock)


@pytest.fixture
def gate(storage: Storage, clock: ManualClock, authority: TokenAuthority, keys: KeyRing) -> InstanceGate:
    return InstanceGate(InstanceService(storage, clock, CoreLimits(), DueBell()), authority, keys)


def encode(claims: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


def another_last_character(token: str) -> str:
    """The same bytes spelled with other unused bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


async def test_what_was_issued_is_read_back(authority: TokenAuthority) -> None:
    assert await authority.verify(await authority.issue(TOKEN)) == TOKEN


async def test_unusual_ids_survive(authority: TokenAuthority) -> None:
    token = InstanceToken('ä.b"c', "…", 2**53)
    text = await authority.issue(token)
    assert text.isascii()
    assert await authority.verify(text) == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rti1",
        "rti1..",
        "rti1.x.y",
        "rti1." + encode({"i": "instance-1", "t": "tenant-1", "e": 3, "k": "k"}),
        "rti1." + encode({"i": "instance-1", "t": "tenant-1", "e": 3, "k": "k"}) + ".AAAA",
        "rti1." + encode({"i": 1, "t": "tenant-1", "e": 3, "k": "k"}) + ".AAAA",
        "rti1." + encode({"i": "instance-1", "t": "tenant-1", "e": True, "k": "k"}) + ".AAAA",
        "rti1." + encode(["i"]) + ".AAAA",
        "rti1." + encode("itek") + ".AAAA",
        "rti1." + "W" * 20_000 + ".AAAA",
        "ä.b.c",
        "rti1." + base64.urlsafe_b64encode(b"[" * 5_000).decode() + ".AAAA",
    ],
)
async def test_what_is_no_token_is_refused(authority: TokenAuthority, text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await authority.verify(text)


async def test_tampering_is_noticed(authority: TokenAuthority) -> None:
    """Every single character of a token matters."""
    text = await authority.issue(TOKEN)
    for position, character in enumerate(text):
        forged = text[:position] + ("A" if character != "A" else "B") + text[position + 1 :]
        with pytest.raises(UnauthenticatedError):
            await authority.verify(forged)
    for forged in (another_last_character(text), text + "=", text + "A", " " + text, text[:-1]):
        with pytest.raises(UnauthenticatedError):
            await authority.verify(forged)


async def test_claims_of_one_token_do_not_fit_the_mac_of_another(authority: TokenAuthority) -> None:
    mine = (await authority.issue(TOKEN)).split(".")
    others = (await authority.issue(InstanceToken("instance-2", "tenant-1", 3))).split(".")
    with pytest.raises(UnauthenticatedError):
        await authority.verify(".".join([others[0], others[1], mine[2]]))


async def test_token_of_a_stranger_is_refused(authority: TokenAuthority, storage: Storage) -> None:
    current = await authority.signing_secret()
    with pytest.raises(UnauthenticatedError):
        await authority.verify(TOKEN.sign(TokenSecret.generate()))
    # ... also when it names a secret that is in force.
    with pytest.raises(UnauthenticatedError):
        await authority.verify(TOKEN.sign(TokenSecret(current.secret_id, b"guessed" * 4)))


async def test_a_token_survives_one_rotation_and_not_two(
    authority: TokenAuthority, storage: Storage, clock: ManualClock
) -> None:
    text = await authority.issue(TOKEN)
    for accepted in (True, False):
        await storage.credentials.rotate_token_secret(TokenSecret.generate(), now_ms=clock.now_ms())
        clock.advance(REFRESH_MS)
        if accepted:
            assert await authority.verify(text) == TOKEN
            assert await authority.issue(TOKEN) != text
        else:
            with pytest.raises(UnauthenticatedError):
                await authority.verify(text)


async def test_rotation_by_another_process_is_followed_at_once(
    authority: TokenAuthority, storage: Storage, clock: ManualClock
) -> None:
    """A token that another daemon signed with a newer secret is accepted before the next regular reading."""
    await authority.signing_secret()
    successor = TokenSecret.generate()
    await storage.credentials.rotate_token_secret(successor, now_ms=clock.now_ms())
    clock.advance(1_000)
    assert await authority.verify(TOKEN.sign(successor)) == TOKEN


async def test_verification_asks_the_database_once(
    authority: TokenAuthority, storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await authority.issue(TOKEN)
    reads = 0
    load = storage.credentials.load_token_secrets

    async def counted(candidate: TokenSecret, *, now_ms: int) -> object:
        nonlocal reads
        reads += 1
        return await load(candidate, now_ms=now_ms)

    monkeypatch.setattr(storage.credentials, "load_token_secrets", counted)
    for _ in range(50):
        await authority.verify(text)
    for _ in range(50):
        with pytest.raises(UnauthenticatedError):
            await authority.verify(TOKEN.sign(TokenSecret.generate()))
    assert reads == 0
    clock.advance(REFRESH_MS)
    for _ in range(50):
        await authority.verify(text)
    assert reads == 1


# The gate of the instance port


def call_of(verb: str, *, instance_id: str = TOKEN.instance_id, tenant_id: str = TOKEN.tenant_id) -> pb.RpcRequest:
    """A call of any verb, by reflection: a new one is tested without a word here."""
    request = pb.RpcRequest()
    message = getattr(request, verb)
    message.SetInParent()
    if verb == "instance_event_batch":
        message.events.add(instance_id=TOKEN.instance_id)
        message.events.add(instance_id=instance_id)
    else:
        message.instance_id = instance_id
    if verb == "register_instance":
        message.tenant_id = tenant_id
    return request


VERBS = [field.name for field in pb.RpcRequest.DESCRIPTOR.oneofs_by_name["request"].fields]
OWN_VERBS = [verb for verb in VERBS if verb != "get_instance_status"]


@pytest.mark.parametrize("verb", VERBS)
async def test_token_admits_its_own_instance_and_gives_the_epoch(
    gate: InstanceGate, authority: TokenAuthority, verb: str
) -> None:
    request = call_of(verb)
    request.instance_token = await authority.issue(TOKEN)
    await gate.authorize(request)
    assert request.epoch == TOKEN.epoch
    assert not request.HasField("instance_token")


@pytest.mark.parametrize("verb", OWN_VERBS)
async def test_token_admits_no_other_instance(gate: InstanceGate, authority: TokenAuthority, verb: str) -> None:
    request = call_of(verb, instance_id="instance-2")
    request.instance_token = await authority.issue(TOKEN)
    with pytest.raises(PermissionDeniedError):
        await gate.authorize(request)


async def test_token_admits_no_other_tenant(gate: InstanceGate, authority: TokenAuthority) -> None:
    request = call_of("register_instance", tenant_id="tenant-2")
    request.instance_token = await authority.issue(TOKEN)
    with pytest.raises(PermissionDeniedError):
        await gate.authorize(request)


async def test_status_is_narrowed_to_the_tenant(gate: InstanceGate, authority: TokenAuthority) -> None:
    request = call_of("get_instance_status", instance_id="instance-2")
    request.instance_token = await authority.issue(TOKEN)
    await gate.authorize(request)
    assert request.get_instance_status.tenant_id == "tenant-1"
    request = call_of("get_instance_status", instance_id="instance-2")
    request.get_instance_status.tenant_id = "tenant-2"
    request.instance_token = await authority.issue(TOKEN)
    with pytest.raises(PermissionDeniedError):
        await gate.authorize(request)


@pytest.mark.parametrize("epoch", [1, 2, 4])
@pytest.mark.parametrize("verb", VERBS)
async def test_token_admits_no_other_epoch(
    gate: InstanceGate, authority: TokenAuthority, verb: str, epoch: int
) -> None:
    request = call_of(verb)
    request.instance_token = await authority.issue(TOKEN)
    request.epoch = epoch
    with pytest.raises(StaleEpochError):
        await gate.authorize(request)


@pytest.mark.parametrize("verb", VERBS)
async def test_epoch_without_token_is_refused(gate: InstanceGate, verb: str) -> None:
    request = call_of(verb)
    request.epoch = 3
    with pytest.raises(UnauthenticatedError):
        await gate.authorize(request)


@pytest.mark.parametrize("verb", VERBS)
async def test_without_keys_the_original_client_is_served(gate: InstanceGate, verb: str) -> None:
    await gate.authorize(call_of(verb))


@pytest.mark.parametrize("verb", ["get_checkpoint", "get_instance_status"])
async def test_reads_of_a_managed_instance_need_a_token(gate: InstanceGate, storage: Storage, verb: str) -> None:
    await storage.create_instance(NewInstance("instance-1", "tenant-1", "image", b"{}"), now_ms=1)
    with pytest.raises(UnauthenticatedError):
        await gate.authorize(call_of(verb))


@pytest.mark.parametrize("verb", VERBS)
async def test_with_keys_nothing_is_open(gate: InstanceGate, storage: Storage, verb: str) -> None:
    issued = issue_api_key(tenant_id="tenant-1", name="", now_ms=1)
    await storage.credentials.create_api_key(issued.record)
    with pytest.raises(UnauthenticatedError):
        await gate.authorize(call_of(verb))
    # A key is for registering; afterwards the token of the registration speaks.
    request = call_of(verb)
    request.api_key = issued.text
    if verb in ("register_instance", "get_instance_status"):
        await gate.authorize(request)
    else:
        with pytest.raises(UnauthenticatedError):
            await gate.authorize(request)


async def test_registration_needs_a_key_of_its_tenant(gate: InstanceGate, storage: Storage) -> None:
    expected: dict[str | None, type[RuntaraError] | None] = {
        "tenant-1": None,
        "tenant-2": PermissionDeniedError,
        None: None,
    }
    issued = {tenant: issue_api_key(tenant_id=tenant, name="", now_ms=1) for tenant in expected}
    for each in issued.values():
        await storage.credentials.create_api_key(each.record)
    for tenant, error in expected.items():
        request = call_of("register_instance")
        request.api_key = issued[tenant].text
        if error is None:
            await gate.authorize(request)
        else:
            with pytest.raises(error):
                await gate.authorize(request)


async def test_claims_carry_tokens_that_show_nowhere(
    storage: Storage, clock: ManualClock, authority: TokenAuthority
) -> None:
    service = ManagementService(storage, clock, CoreLimits(), DueBell(), authority)
    await service.create_instance(NewInstance("instance-1", "tenant-1", "image", b"{}"))
    (claim,) = await service.claim_launches("owner", limit=1, lease_ms=1_000)
    assert await authority.verify(claim.token) == InstanceToken("instance-1", "tenant-1", claim.epoch)
    assert claim.token not in repr(claim)
