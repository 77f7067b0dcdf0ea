"""The interpreter of a base runtime: a small program linked with CPython's own library, and the standard library.

CPython itself is taken as it is installed. Compiled to C, its library and other people's packages start no faster and
run no faster than as bytecode, but would take minutes to build.
"""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from runtara_sdk.artifact.native_format import BASE_EXECUTABLE

from runtara_compiler.native.library import NativeBuildError
from runtara_compiler.native.process import run_tool
from runtara_compiler.native.toolchain import Toolchain

PROGRAM_SOURCE = Path(__file__).with_name("program.c")
LIBRARIES_DIRECTORY = "libraries"
"""Directory of a base with the shared libraries that are not of the C library's family."""

LINK_DEADLINE_SECONDS = 300.0

_NEVER_COPIED = frozenset(
    {"__pycache__", "dist-packages", "ensurepip", "idlelib", "site-packages", "test", "turtledemo"}
)
_NEVER_LOADED = frozenset({"_ctypes_test", "readline"})
_SYSTEM_LIBRARIES = ("-lpthread", "-ldl", "-lutil", "-lm")


async def link_program(toolchain: Toolchain, distribution: Path, directory: Path) -> None:
    """Make the base's executable in `distribution`, with CPython inside of it where its static library is installed.

    Raises `NativeBuildError` when it can be linked in no way.
    """
    (directory / PROGRAM_SOURCE.name).write_bytes(PROGRAM_SOURCE.read_bytes())
    failures = []
    for libraries in _ways_to_link():
        try:
            await _link(toolchain, distribution, directory, libraries)
        except NativeBuildError as error:
            failures.append(error.message)
            continue
        if not any(option.endswith(".a") for option in libraries):
            _copy_shared_library(distribution / LIBRARIES_DIRECTORY)
        return
    reason = failures[-1] if failures else "neither libpython as a static library nor as a shared one is installed"
    raise NativeBuildError(f"{reason}: install Python's development files (apt-get install python3-dev)")


async def _link(toolchain: Toolchain, distribution: Path, directory: Path, libraries: tuple[str, ...]) -> None:
    variables = toolchain.variables()
    await run_tool(
        [
            variables["CC"],
            "-O2",
            # Extension modules find CPython in the program. It lies at a fixed place, which static libraries need that
            # were not compiled for another.
            "-no-pie",
            "-Wl,--export-dynamic",
            # Not RUNPATH: this one holds for everything that is loaded later, too.
            f"-Wl,--disable-new-dtags,-rpath,$ORIGIN/{LIBRARIES_DIRECTORY}",
            f"-I{sysconfig.get_path('include')}",
            f"-I{sysconfig.get_path('platinclude')}",
            PROGRAM_SOURCE.name,
            *libraries,
            *_SYSTEM_LIBRARIES,
            "-o",
            str(distribution / BASE_EXECUTABLE),
        ],
        what="linking the base runtime",
        directory=directory,
        variables=variables,
        log=directory / "link.log",
        deadline_seconds=LINK_DEADLINE_SECONDS,
    )


def _ways_to_link() -> Iterator[tuple[str, ...]]:
    static = _static_library()
    if static is not None:
        named = " ".join(str(sysconfig.get_config_var(name) or "") for name in ("MODLIBS", "LIBS", "SYSLIBS"))
        needed = dict.fromkeys(option for option in named.split() if option.startswith("-l"))
        yield ("-Wl,--whole-archive", str(static), "-Wl,--no-whole-archive", *needed)
    shared = _shared_library()
    if shared is not None:
        yield (str(shared),)


def _static_library() -> Path | None:
    path = Path(str(sysconfig.get_config_var("LIBPL")), str(sysconfig.get_config_var("LIBRARY")))
    return path if path.suffix == ".a" and path.is_file() else None


def _shared_library() -> Path | None:
    name = sysconfig.get_config_var("INSTSONAME")
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or not name:
        return None
    # An interpreter that was unpacked elsewhere than it was built for lies beside its standard library.
    for directory in (sysconfig.get_config_var("LIBDIR"), Path(sysconfig.get_path("stdlib")).parent):
        path = Path(str(directory), str(name))
        if path.is_file():
            return path
    return None


def _copy_shared_library(target: Path) -> None:
    shared = _shared_library()
    if shared is not None:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared, target / shared.name)
        (target / shared.name).chmod(0o755)


def copy_standard_library(target: Path, left_out: frozenset[str]) -> None:
    """Copy the standard library with its extension modules, without the top-level modules in `left_out`."""
    source = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(
        source, target, symlinks=False, ignore=lambda folder, names: _ignored(source, folder, names, left_out)
    )


def _ignored(source: Path, folder: str, names: list[str], left_out: frozenset[str]) -> set[str]:
    ignored = {name for name in names if name in _NEVER_COPIED}
    directory = Path(folder)
    if directory == source:
        ignored.update(name for name in names if name.startswith("config-") or name.partition(".")[0] in left_out)
    elif directory == source / "lib-dynload":
        ignored.update(name for name in names if _is_superfluous(name.partition(".")[0], left_out))
    return ignored


def _is_superfluous(extension: str, left_out: frozenset[str]) -> bool:
    """Whether an extension module only serves a module that is left out, or CPython's own tests."""
    served = {"_curses_panel": "curses", "_gdbm": "dbm"}.get(extension, extension.removeprefix("_"))
    return extension.startswith(("_test", "xx", "_xx")) or extension in _NEVER_LOADED or served in left_out
