"""The base runtime: one standalone program with interpreter, SDK, agents and everything they need.

Its key names the platform, Nuitka, the launcher and each distribution with version and digest. It is built once per
key, under a lock, in a directory made of exactly the closure, checked by starting it, and placed by one rename; it is
verified by digest before every use and built anew when it does not have its digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_sdk.artifact.native_format import BASE_EXECUTABLE

from runtara_compiler.native import inclusion
from runtara_compiler.native.closure import (
    IncludedDistribution,
    backend_names,
    compiled_names,
    copy_closure,
    resolve_closure,
)
from runtara_compiler.native.layers import LayerFile, file_digest, write_layer
from runtara_compiler.native.library import NativeBuildError, NativeLibrary, translated_disk_errors
from runtara_compiler.native.process import run_tool
from runtara_compiler.native.system_libraries import copy_system_libraries
from runtara_compiler.native.toolchain import (
    Toolchain,
    drop_trigger_modules,
    nuitka_version,
    platform_tag,
    prepare_toolchain,
    prune_objects,
)

BASE_DEADLINE_SECONDS = 2400.0
CHECK_DEADLINE_SECONDS = 120.0
EXPECTED_SECONDS = 240.0
"""What a first build takes on two cores; later ones go by the last measurement."""

_REVISION = 2
"""Raise it when a base of the same content comes out differently."""
_LAYER_NAME = "layer.tar.gz"
_DESCRIPTION_NAME = "base.json"
_LAUNCHER = Path(__file__).with_name("launcher.py")
_COMPRESSION_LEVEL = 9

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BasePlan:
    """What a base runtime is to be made of; `key` follows from it."""

    key: str
    closure: tuple[IncludedDistribution, ...]

    def describe(self) -> list[dict[str, str]]:
        """The distributions as they appear in `base.json` and in manifests."""
        return [{"name": item.name, "version": item.version, "sha256": item.digest} for item in self.closure]


@dataclass(frozen=True, slots=True)
class BaseRuntime:
    """A finished base runtime in the library; `layer` has been verified."""

    key: str
    layer: LayerFile
    distributions: list[dict[str, str]]


def plan_base() -> BasePlan:
    """Decide from the installed distributions what the base holds.

    Raises `ConfigurationError` when Nuitka or a required distribution is missing.
    """
    closure = resolve_closure(
        compiled_names(), whole=(*backend_names(), *inclusion.WHOLE_DISTRIBUTIONS), left_out=inclusion.LEFT_OUT
    )
    identity = {
        "revision": _REVISION,
        "platform": platform_tag(),
        "nuitka": nuitka_version(),
        "launcher": hashlib.sha256(_LAUNCHER.read_bytes()).hexdigest(),
        "inclusion": inclusion.fingerprint(),
        "distributions": [[item.name, item.version, item.digest] for item in closure],
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    return BasePlan(key, closure)


async def ensure_base(library: NativeLibrary, plan: BasePlan, progress: Progress) -> BaseRuntime:
    """The base runtime of `plan`, built when the library does not hold it whole.

    Raises `NativeBuildError` or `ConfigurationError` with the remedy; nothing half-built is ever seen by others.
    """
    base = await asyncio.to_thread(_find_base, library, plan.key)
    if base is not None:
        return base
    toolchain = await prepare_toolchain(library)
    progress("the base runtime for the installed agents is not built yet; this happens once")
    async with library.lock(f"base-{plan.key}", deadline_seconds=BASE_DEADLINE_SECONDS):
        # Whoever held the lock before may have built it.
        base = await asyncio.to_thread(_find_base, library, plan.key)
        if base is None:
            await _build_base(library, toolchain, plan, progress)
            base = await asyncio.to_thread(_find_base, library, plan.key)
    if base is None:
        raise NativeBuildError(f"the base runtime in {library.directory} was damaged right after its build: try again")
    return base


def _find_base(library: NativeLibrary, key: str) -> BaseRuntime | None:
    entry = library.entry("bases", key)
    try:
        description: Mapping[str, Any] = json.loads((entry / _DESCRIPTION_NAME).read_bytes())
        layer = LayerFile(entry / _LAYER_NAME, description["layer"]["sha256"], description["layer"]["size"])
        if description["key"] != key or file_digest(layer.path) != layer.digest:
            return None
        return BaseRuntime(key, layer, description["distributions"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _build_base(library: NativeLibrary, toolchain: Toolchain, plan: BasePlan, progress: Progress) -> None:
    started = time.monotonic()
    with library.construction(f"base-{plan.key}") as directory, translated_disk_errors(library.directory):
        packages = directory / "packages"
        await asyncio.to_thread(copy_closure, plan.closure, packages)
        if (await asyncio.to_thread(plan_base)).key != plan.key:
            raise NativeBuildError("the installed distributions changed while the base runtime was built: try again")
        progress(f"base runtime: {len(plan.closure)} distributions collected, compiling")
        distribution = await _compile(library, toolchain, plan, directory, progress)
        await _strip(distribution, directory)
        await copy_system_libraries(distribution, distribution / "system")
        progress("base runtime: checking that it starts")
        await _check(distribution, plan, directory)
        progress("base runtime: compressing")
        built = directory / "base"
        built.mkdir()
        layer = await asyncio.to_thread(write_layer, distribution, built / _LAYER_NAME, level=_COMPRESSION_LEVEL)
        elapsed = time.monotonic() - started
        description = {
            "key": plan.key,
            "platform": platform_tag(),
            "nuitka": nuitka_version(),
            "layer": {"sha256": layer.digest, "size": layer.size},
            "distributions": plan.describe(),
            "buildSeconds": round(elapsed, 1),
        }
        (built / _DESCRIPTION_NAME).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        library.place(built, library.entry("bases", plan.key))
    (toolchain.directory / "base-seconds").write_text(f"{elapsed:.0f}", encoding="ascii")
    prune_objects(toolchain)
    progress(f"base runtime: built in {elapsed:.0f} s, {layer.size / 1e6:.1f} MB compressed")


async def _compile(
    library: NativeLibrary, toolchain: Toolchain, plan: BasePlan, directory: Path, progress: Progress
) -> Path:
    # The same place for every build, as far as the kept objects can tell: they contain no path.
    (directory / "runtara_base.py").write_bytes(_LAUNCHER.read_bytes())
    packages = directory / "packages"
    drop_trigger_modules(toolchain)
    variables = toolchain.variables() | {"PYTHONPATH": str(packages)}
    log = directory / "nuitka.log"
    watch = _BuildWatch(directory / "runtara_base.build", _expected_seconds(toolchain), progress)
    try:
        await run_tool(
            [
                str(toolchain.python),
                "-m",
                "nuitka",
                *inclusion.base_options(plan.closure, packages),
                f"--output-dir={directory}",
                f"--output-filename={BASE_EXECUTABLE}",
                "runtara_base.py",
            ],
            what="Nuitka's build of the base runtime",
            directory=directory,
            variables=variables,
            log=log,
            deadline_seconds=BASE_DEADLINE_SECONDS,
            on_tick=watch.tick,
        )
    except NativeBuildError as error:
        kept = library.keep_log(log, f"base-{plan.key[:12]}")
        raise NativeBuildError(f"{error.message} (log: {kept})") from None
    return directory / "runtara_base.dist"


async def _strip(distribution: Path, directory: Path) -> None:
    """Drop debug information, which self-built interpreters carry in their extension modules."""
    if shutil.which("strip") is None:
        return
    await run_tool(
        ["strip", "--strip-unneeded", *(str(path) for path in sorted(distribution.rglob("*.so*")))],
        what="strip",
        directory=directory,
        variables={"PATH": os.environ.get("PATH", os.defpath)},
        log=directory / "strip.log",
        deadline_seconds=CHECK_DEADLINE_SECONDS,
    )


async def _check(distribution: Path, plan: BasePlan, directory: Path) -> None:
    await run_tool(
        [str(distribution / BASE_EXECUTABLE), "--check", *inclusion.modules_to_check(plan.closure, distribution)],
        what="the start of the new base runtime",
        directory=directory,
        variables={"PATH": "/usr/bin:/bin"},
        log=directory / "check.log",
        deadline_seconds=CHECK_DEADLINE_SECONDS,
    )


def _expected_seconds(toolchain: Toolchain) -> float:
    try:
        return max(float((toolchain.directory / "base-seconds").read_text(encoding="ascii")), 1.0)
    except (OSError, ValueError):
        return EXPECTED_SECONDS


class _BuildWatch:
    """Tells from the build directory how far Nuitka is; a line whenever the stage moved on or ten seconds passed."""

    _LINE_SECONDS = 10.0

    def __init__(self, build: Path, expected_seconds: float, progress: Progress) -> None:
        self._build = build
        self._expected_seconds = expected_seconds
        self._progress = progress
        self._last_line_at = 0.0

    def tick(self, elapsed: float) -> None:
        if elapsed - self._last_line_at < self._LINE_SECONDS:
            return
        self._last_line_at = elapsed
        units = sum(1 for _ in self._build.glob("*.c"))
        objects = sum(1 for _ in self._build.glob("*.os")) + sum(1 for _ in self._build.glob("*.o"))
        stage = f"compiling C, {objects} of {units} files" if objects else "analysing modules"
        expected = f" of about {self._expected_seconds:.0f} s" if elapsed < self._expected_seconds else ""
        self._progress(f"base runtime: {stage}, {elapsed:.0f} s{expected}")
