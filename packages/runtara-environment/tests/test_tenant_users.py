"""No two tenants have one user, whoever dies while assigning, and a tenant keeps the one that it has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_core.guest_users import GuestUsers
from runtara_environment.runner import RunnerHost
from runtara_environment.runners.tenant_users import DIRECTORY, DIRECTORY_VARIABLE, NoUserLeftError, TenantUsers

TENANTS = [f"tenant-{number}" for number in range(12)]
FEW = GuestUsers(range(200_000, 200_012))
"""As many users as tenants, so that many of them prefer the same one."""


class DeathError(Exception):
    """The process is killed here."""


def dying(monkeypatch: pytest.MonkeyPatch, name: str, *, after: bool) -> Callable[[], None]:
    """Let the process die before or after a call of the system; returns what takes that back."""
    call = getattr(os, name)

    def died(*arguments: object) -> object:
        if after:
            call(*arguments)
        raise DeathError

    monkeypatch.setattr(os, name, died)
    return lambda: monkeypatch.setattr(os, name, call)


@given(st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from(["a", "b"])), max_size=40))
def test_every_order_of_tenants_gives_users_of_their_own(order: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        has: dict[tuple[str, str], int] = {}
        for tenant, label in order:
            users = TenantUsers(GuestUsers(range(1_000, 1_024)), Path(directory), label)
            user = users.of_tenant(tenant)
            assert user.user_id == user.group_id
            assert has.setdefault((tenant, label), user.user_id) == user.user_id
        assert len(set(has.values())) == len(has)


def test_a_full_range_refuses_and_takes_nothing_away(tmp_path: Path) -> None:
    users = TenantUsers(FEW, tmp_path)
    has = {tenant: users.of_tenant(tenant).user_id for tenant in TENANTS}
    assert sorted(has.values()) == list(FEW.users)
    with pytest.raises(NoUserLeftError, match="12 of the 12 users from 200000 on are those of other tenants"):
        users.of_tenant("one-more")
    assert {tenant: users.of_tenant(tenant).user_id for tenant in TENANTS} == has


def test_many_at_once_are_assigned_once(tmp_path: Path) -> None:
    users = TenantUsers(FEW, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda tenant: (tenant, users.of_tenant(tenant).user_id), TENANTS * 4)]
    assert len(set(found)) == len({number for _, number in found}) == len(TENANTS)
    assert not [path for path in tmp_path.iterdir() if not path.name.isdigit()]


@pytest.mark.parametrize(("call", "after"), [("fsync", False), ("link", False), ("link", True)])
def test_a_death_in_the_middle_of_an_assignment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, *, after: bool
) -> None:
    victim, *others = TENANTS
    users = TenantUsers(FEW, tmp_path)
    live = dying(monkeypatch, call, after=after)
    with pytest.raises(DeathError):
        users.of_tenant(victim)
    live()
    has = {tenant: users.of_tenant(tenant).user_id for tenant in others}
    assert users.of_tenant(victim).user_id not in has.values()
    # What was assigned is the victim's also when it was never used.
    assert not after or users.of_tenant(victim) == FEW.of_tenant(victim)


def test_a_wiped_data_directory_gets_other_users_where_a_host_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "shared"))
    hosts = [RunnerHost(tmp_path / name) for name in ("a", "b")]
    before = [TenantUsers.of_host(GuestUsers(), host).of_tenant("acme").user_id for host in hosts]
    (tmp_path / "a" / "host-id").unlink()
    after = TenantUsers.of_host(GuestUsers(), hosts[0]).of_tenant("acme").user_id
    assert len({*before, after}) == 3
    assert not (tmp_path / "a" / DIRECTORY).exists()


def test_one_user_for_all_and_unknown_hosts_assign_nothing(tmp_path: Path) -> None:
    nobody = GuestUsers.parse("nobody")
    users = TenantUsers.of_host(nobody, RunnerHost(tmp_path))
    assert users.of_tenant("a") == users.of_tenant("b") == nobody.of_tenant("a")
    assert TenantUsers.of_host(FEW, None).of_tenant("a") == FEW.of_tenant("a")
    assert not (tmp_path / DIRECTORY).exists()


def test_what_cannot_be_kept_is_not_assigned(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        TenantUsers(FEW, tmp_path / "file" / "users").of_tenant("a")
