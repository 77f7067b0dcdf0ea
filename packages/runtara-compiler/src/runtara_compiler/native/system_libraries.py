"""The shared libraries of the build host that a base runtime needs, so that a bare container can start it.

They are copied below `system/` under the paths that the dynamic loader searches. On a host of the same libc family
they are not used: there the base runs with the host's own.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from runtara_compiler.native.library import NativeBuildError

_LISTING_SECONDS = 60.0
_RESOLVED = re.compile(r"(?:=>[ \t]+|^[ \t]+)(/\S+) \(0x", re.MULTILINE)


async def copy_system_libraries(distribution: Path, target: Path) -> None:
    """Copy below `target` what the ELF files in `distribution` load from outside of it."""
    elf_files = [path for path in sorted(distribution.rglob("*")) if path.is_file() and _is_elf(path)]
    for library in sorted(await _resolved_libraries(elf_files)):
        if library.is_relative_to(distribution):
            continue
        destination = target / library.relative_to("/")
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, destination)
        destination.chmod(0o755)


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


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
