"""Agents as C: each top-level package of an agent's distribution becomes one extension module.

They are compiled apart from each other and from the base, and kept under a digest of what they are made from. So a
change of one agent compiles that agent alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtara_compiler.native.closure import IncludedDistribution, Role
from runtara_compiler.native.layers import file_digest
from runtara_compiler.native.library import NativeBuildError, NativeLibrary, translated_disk_errors
from runtara_compiler.native.process import run_tool
from runtara_compiler.native.toolchain import Toolchain, platform_tag

PACKAGE_DEADLINE_SECONDS = 1800.0

_REVISION = 1
"""Raise it when a package of the same content comes out differently."""
_OPTIONS = (
    "--nofollow-imports",
    "--lto=no",
    "--no-pyi-file",
    "--disable-cache=ccache",
    "--assume-yes-for-downloads",
)
_DESCRIPTION_NAME = "package.json"


@dataclass(frozen=True, slots=True)
class AgentPackage:
    """One top-level package, or module, of an agent's distribution."""

    distribution: IncludedDistribution
    name: str

    @property
    def extension_name(self) -> str:
        """Name of the file that it becomes."""
        return f"{self.name}{sysconfig.get_config_var('EXT_SUFFIX')}"


def agent_packages(closure: Iterable[IncludedDistribution], packages: Path) -> tuple[AgentPackage, ...]:
    """What of the copied closure below `packages` becomes C.

    A namespace that several distributions share cannot become one extension: it stays bytecode.
    """
    return tuple(
        AgentPackage(item, name)
        for item in closure
        if item.role is Role.COMPILED
        for name in item.top_level_packages
        if _source(packages, name) is not None
    )


async def compile_agent_package(
    library: NativeLibrary, toolchain: Toolchain, package: AgentPackage, packages: Path
) -> Path:
    """The extension of a package, compiled when the library does not hold it whole; `packages` has its source.

    Raises `NativeBuildError` with the place of the log when Nuitka or the C compiler fails.
    """
    key = _key(toolchain, package)
    entry = library.entry("packages", key)
    found = await asyncio.to_thread(_find, entry, package)
    if found is not None:
        return found
    async with library.lock(f"package-{key}", deadline_seconds=PACKAGE_DEADLINE_SECONDS):
        found = await asyncio.to_thread(_find, entry, package)
        if found is None:
            await _compile(library, toolchain, package, packages, key)
            found = await asyncio.to_thread(_find, entry, package)
    if found is None:
        raise NativeBuildError(f"{entry} was damaged right after its build: try again")
    return found


def put_in_place(package: AgentPackage, extension: Path, packages: Path) -> None:
    """Lay the extension where its sources were; whatever else the package holds stays in its directory."""
    source = _source(packages, package.name)
    if source is not None and source.is_file():
        source.unlink()
    elif source is not None:
        for path in list(source.rglob("*.py")):
            path.unlink()
    shutil.copyfile(extension, packages / package.extension_name)


def _source(packages: Path, name: str) -> Path | None:
    directory, module = packages / name, packages / f"{name}.py"
    if (directory / "__init__.py").is_file():
        return directory
    return module if module.is_file() else None


def _key(toolchain: Toolchain, package: AgentPackage) -> str:
    identity = (
        _REVISION,
        _OPTIONS,
        platform_tag(),
        toolchain.directory.name,
        package.distribution.name,
        package.distribution.version,
        package.distribution.digest,
        package.name,
    )
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _find(entry: Path, package: AgentPackage) -> Path | None:
    extension = entry / package.extension_name
    try:
        digest = json.loads((entry / _DESCRIPTION_NAME).read_bytes())["sha256"]
        return extension if file_digest(extension) == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _compile(
    library: NativeLibrary, toolchain: Toolchain, package: AgentPackage, packages: Path, key: str
) -> None:
    with library.construction(f"package-{key}") as directory, translated_disk_errors(library.directory):
        source = _source(packages, package.name)
        if source is None:
            raise NativeBuildError(f"{package.distribution.name} has no package {package.name}: install it anew")
        if source.is_dir():
            await asyncio.to_thread(shutil.copytree, source, directory / source.name)
            mode = ["--mode=package", f"--include-package={package.name}"]
        else:
            shutil.copyfile(source, directory / source.name)
            mode = ["--mode=module"]
        log = directory / "nuitka.log"
        try:
            await run_tool(
                [str(toolchain.python), "-m", "nuitka", *mode, *_OPTIONS, "--output-dir=out", source.name],
                what=f"Nuitka's build of {package.distribution.name}",
                directory=directory,
                variables=toolchain.variables(),
                log=log,
                deadline_seconds=PACKAGE_DEADLINE_SECONDS,
            )
        except NativeBuildError as error:
            kept = library.keep_log(log, f"package-{package.name[:40]}")
            raise NativeBuildError(f"{error.message} (log: {kept})") from None
        built = directory / "package"
        built.mkdir()
        shutil.move(directory / "out" / package.extension_name, built / package.extension_name)
        description = {
            "distribution": package.distribution.name,
            "version": package.distribution.version,
            "sha256": file_digest(built / package.extension_name),
        }
        (built / _DESCRIPTION_NAME).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        library.place(built, library.entry("packages", key))
