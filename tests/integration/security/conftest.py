"""Platforms with and without keys, over real ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .running_platform import Platform, running_platform


@pytest.fixture
async def open_platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path, with_keys=False) as platform:
        yield platform


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path, with_keys=True) as platform:
        yield platform


@pytest.fixture
async def open_core(tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path, with_keys=False, with_environment=False) as platform:
        yield platform
