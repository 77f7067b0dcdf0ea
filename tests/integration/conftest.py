"""Fixtures of the tests that install the distributions."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.integration.clean_environment import (
    NAMES,
    REPOSITORY,
    CleanEnvironment,
    Distributions,
    make_environment,
    outside_variables,
)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """A wheel and an sdist of each package; wheels are built from the sdists, so that these are complete too."""
    directory = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        ["uv", "build", "--quiet", "--all-packages", "--out-dir", str(directory)],
        cwd=REPOSITORY,
        env=outside_variables(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert built.returncode == 0, built.stderr
    return Distributions(directory)


@pytest.fixture(scope="session")
def constraints(distributions: Distributions) -> Path:
    """The workspace's pins, and its own wheels for its own names."""
    pins = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    own = [f"{name} @ {distributions.wheel(name).as_uri()}" for name in NAMES]
    path = distributions.directory / "constraints.txt"
    path.write_text("\n".join([*pins["constraint-dependencies"], *own]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def clean_environment(tmp_path: Path, constraints: Path) -> CleanEnvironment:
    """An environment of this test alone."""
    return make_environment(tmp_path / "environment", constraints)


@pytest.fixture(scope="session")
def capability_pages() -> dict[str, str]:
    """The pages of all capabilities as the documentation has them, by path."""
    from capability_pages import capability_pages

    return capability_pages()
