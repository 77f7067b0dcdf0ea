"""The distributions as users get them, and environments that know nothing of the workspace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
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
    install: Callable[..., None]

    def run(
        self, program: str, *arguments: str, at: Path | None = None, seconds: float = 60, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its programs to the end."""
        return subprocess.run(
            [str(self.directory / "bin" / program), *arguments],
            cwd=at or self.directory,
            env=self._variables(env),
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def start(self, program: str, *arguments: str, at: Path, **env: str) -> subprocess.Popen[str]:
        """Start one of its programs."""
        return subprocess.Popen(
            [str(self.directory / "bin" / program), *arguments],
            cwd=at,
            env=self._variables(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _variables(self, env: Mapping[str, str]) -> dict[str, str]:
        return {**outside_variables(), "PATH": f"{self.directory / 'bin'}:{os.defpath}", **env}


def passes_its_own_tests(environment: CleanEnvironment, project: Path) -> None:
    """A project that is installed in the environment, beside pytest, passes its tests and skips none."""
    tested = environment.run("pytest", "-q", "-p", "no:cacheprovider", at=project, seconds=240)
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    assert "skipped" not in tested.stdout


def make_environment(directory: Path, constraints: Path) -> CleanEnvironment:
    """A new environment, which installs what is asked for at once under the given constraints."""

    def uv(*arguments: str) -> None:
        done = subprocess.run(
            ["uv", *arguments],
            cwd=directory.parent,
            env=outside_variables(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr

    def install(*requirements: str) -> None:
        python = str(directory / "bin" / "python")
        uv("pip", "install", "--quiet", "--python", python, "--constraint", str(constraints), *requirements)

    uv("venv", "--quiet", str(directory))
    return CleanEnvironment(directory, install)


def outside_variables() -> dict[str, str]:
    """This process's variables without those that point at an environment or configure Runtara."""
    removed = ("VIRTUAL_ENV", "PYTHON", "RUNTARA_", "DATA_DIR", "UV_PROJECT", "UV_CONSTRAINT")
    return {name: value for name, value in os.environ.items() if not name.startswith(removed)}


def native_library() -> dict[str, str]:
    """The variable that lets native builds of tests share what was built before."""
    library = os.environ.get("RUNTARA_TEST_NATIVE_CACHE") or str(REPOSITORY / ".data" / "test-native")
    return {"RUNTARA_NATIVE_LIBRARY_DIR": library}
