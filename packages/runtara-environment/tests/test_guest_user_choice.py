"""A daemon of root runs programs as itself only where users of their own can never work."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runtara_core.guest_users import GuestUsers
from runtara_environment.runner import RunnerHost
from runtara_environment.runners.guest_user_choice import UnusableUserError, choose_users


def trial(monkeypatch: pytest.MonkeyPatch, outcome: int | Exception) -> None:
    """Let the trial of a daemon of root end so."""

    def run(*_arguments: Any, **_options: Any) -> subprocess.CompletedProcess[bytes]:
        if isinstance(outcome, Exception):
            raise outcome
        return subprocess.CompletedProcess([], outcome)

    monkeypatch.delenv("RUNTARA_NATIVE_USER", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", run)


def test_users_that_work_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial(monkeypatch, 0)
    assert choose_users(RunnerHost(tmp_path, trusts_programs=False)) == GuestUsers()
    assert choose_users(RunnerHost(tmp_path, trusts_programs=True)) is None


@pytest.mark.parametrize("outcome", [3, 4, OSError(errno.EINVAL, "no such user"), PermissionError(errno.EPERM, "no")])
def test_a_host_without_such_users_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: int | Exception
) -> None:
    trial(monkeypatch, outcome)
    assert choose_users(RunnerHost(tmp_path, trusts_programs=False)) is None


@pytest.mark.parametrize(
    "outcome", [subprocess.TimeoutExpired("sh", 10), OSError(errno.EAGAIN, "later"), OSError(errno.ENOMEM, "full")]
)
def test_a_passing_failure_makes_no_program_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Exception
) -> None:
    trial(monkeypatch, outcome)
    with pytest.raises(UnusableUserError, match="no program can run as user"):
        choose_users(RunnerHost(tmp_path, trusts_programs=False))
