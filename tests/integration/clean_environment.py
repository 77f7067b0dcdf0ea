"""The distributions as users get them, and environments that know nothing of the workspace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
NAMES = sorted(path.parent.name for path in REPOSITORY.glob("packages/*/pyproject.toml"))


@dataclass(frozen=True)
class Distributions:
    """The built files."""

    directory: Path

    def wheel(self, name: str) -> Path:
        (path,) = self.directory.glob(f"{name.replace('-', '_')}-*.whl")
        return path

    def source(self, name: str) -> Path:
        (path,) = self.directory.glob(f"{name.replace('-', '_')}-*.tar.gz")
        return path


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment that knows nothing of the workspace."""

    directory: Path
    install: Callable[[str], None]

    def run(
        self, program: str, *arguments: str, at: Path | None = None, seconds: float = 60, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.directory / "bin" / program), *arguments],
            cwd=at or self.directory,
            env=outside_variables() | {"PATH": f"{self.directory / 'bin'}:{os.defpath}"} | env,
            capture_output=True,
            text=True,
            timeout=seconds,
        )


def outside_variables() -> dict[str, str]:
    """This process's variables without those that point at an environment or configure Runtara."""
    removed = ("VIRTUAL_ENV", "PYTHON", "RUNTARA_", "DATA_DIR", "UV_PROJECT", "UV_CONSTRAINT")
    return {name: value for name, value in os.environ.items() if not name.startswith(removed)}


def native_library() -> dict[str, str]:
    """The variable that lets native builds of tests share what was built before."""
    library = os.environ.get("RUNTARA_TEST_NATIVE_CACHE") or str(REPOSITORY / ".data" / "test-native")
    return {"RUNTARA_NATIVE_LIBRARY_DIR": library}
