"""What tests of programs with users of their own need: root, places that these users reach, and a Python there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from runtara_core.guest_users import VARIABLE, GuestUsers

_CANDIDATES = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")


def require_root() -> None:
    """Skip the test unless it runs as root; mark it `privileged`, for nothing can be installed to get there."""
    if os.geteuid() != 0:
        pytest.skip("only root can give programs users of their own")


@cache
def guest_python() -> str:
    """A Python that such a user can execute; skips where there is none."""
    user = GuestUsers().of_tenant("")
    for candidate in _CANDIDATES:
        try:
            subprocess.run([candidate, "-I", "-S", "-c", ""], user=user.user_id, group=user.group_id, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip(f"no user but root can execute one of {', '.join(_CANDIDATES)}")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may pass, unlike those of pytest."""
    directory = Path(tempfile.mkdtemp(prefix="runtara-guests-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def users_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of the native runner get a user for each tenant, also when they are launched by other processes."""
    require_root()
    monkeypatch.setenv(VARIABLE, "per-tenant")
