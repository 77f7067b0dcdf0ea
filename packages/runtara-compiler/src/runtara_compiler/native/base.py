"""The base runtime: one directory with interpreter, SDK, agents and everything they need.

    runtara-base        CPython as a program that looks nowhere else (`interpreter`)
    lib/                the standard library as bytecode, with its extension modules
    packages/           SDK, backends and libraries as bytecode; each agent as one extension module
    libraries/          shared libraries besides the C library's family
    system/             those of the C library's family, for bare containers

Its key names the platform, Nuitka, the launcher and each distribution with version and digest. It is put together once
per key, under a lock, from a copy of exactly the closure, checked by starting it, and placed by one rename; it is
verified by digest before every use and built anew when it does not have its digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from runtara_sdk.artifact.native_format import BASE_EXECUTABLE

from runtara_compiler.native import inclusion
from runtara_compiler.native.agent_packages import (
    AgentPackage,
    agent_packages,
    compile_agent_package,
    put_in_place,
)
from runtara_compiler.native.bytecode import compile_tree
from runtara_compiler.native.closure import (
    IncludedDistribution,
    agent_names,
    backend_names,
    copy_closure,
    resolve_closure,
)
from runtara_compiler.native.interpreter import PROGRAM_SOURCE, copy_standard_library, link_program
from runtara_compiler.native.layers import LayerFile, file_digest, write_layer
from runtara_compiler.native.library import NativeBuildError, NativeLibrary, translated_disk_errors
from runtara_compiler.native.process import run_tool
from runtara_compiler.native.shared_libraries import copy_other_libraries, copy_system_libraries
from runtara_compiler.native.toolchain import (
    Toolchain,
    nuitka_version,
    platform_tag,
    prepare_toolchain,
    prune_objects,
)

BASE_DEADLINE_SECONDS = 2400.0
CHECK_DEADLINE_SECONDS = 120.0
_REVISION = 3
"""Raise it when a base of the same content comes out differently."""
_LAYER_NAME = "layer.tar.gz"
_DESCRIPTION_NAME = "base.json"
_LAUNCHER = Path(__file__).with_name("launcher.py")
_LAUNCHER_MODULE = "runtara_launcher.py"
_COMPRESSION_LEVEL = 9

Progress = Callable[[str], None]
T = TypeVar("T")


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
        agent_names(), whole=(*backend_names(), *inclusion.WHOLE_DISTRIBUTIONS), left_out=inclusion.LEFT_OUT
    )
    identity = {
        "revision": _REVISION,
        "platform": platform_tag(),
        "nuitka": nuitka_version(),
        "interpreter": sys.version,
        "launcher": hashlib.sha256(_LAUNCHER.read_bytes() + PROGRAM_SOURCE.read_bytes()).hexdigest(),
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
        distribution = directory / "base"
        distribution.mkdir()
        await asyncio.to_thread(copy_closure, plan.closure, distribution / "packages")
        if (await asyncio.to_thread(plan_base)).key != plan.key:
            raise NativeBuildError("the installed distributions changed while the base runtime was built: try again")
        progress(f"base runtime: {len(plan.closure)} distributions collected")
        await _fill(library, toolchain, plan, distribution, directory, progress)
        progress("base runtime: checking that it starts")
        await _check(distribution, plan, directory)
        progress("base runtime: compressing")
        built = directory / "built"
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
    prune_objects(toolchain)
    progress(f"base runtime: built in {elapsed:.0f} s, {layer.size / 1e6:.1f} MB compressed")


async def _fill(
    library: NativeLibrary,
    toolchain: Toolchain,
    plan: BasePlan,
    distribution: Path,
    directory: Path,
    progress: Progress,
) -> None:
    """Everything but the packages' sources, which are there already and become bytecode or C."""
    packages, stdlib = distribution / "packages", distribution / "lib"
    await asyncio.to_thread(inclusion.trim_packages, packages)
    await asyncio.to_thread(copy_standard_library, stdlib, inclusion.stdlib_left_out(packages))
    (stdlib / _LAUNCHER_MODULE).write_bytes(_LAUNCHER.read_bytes())
    await _side_by_side(
        link_program(toolchain, distribution, directory),
        compile_tree(stdlib, directory),
        _compile_packages(library, toolchain, plan, packages, directory, progress),
    )
    await _strip(distribution, directory)
    await copy_other_libraries(toolchain, distribution, directory)
    await copy_system_libraries(distribution, distribution / "system")


async def _compile_packages(
    library: NativeLibrary,
    toolchain: Toolchain,
    plan: BasePlan,
    packages: Path,
    directory: Path,
    progress: Progress,
) -> None:
    """Agents to C, side by side as far as there are processors; then what is left to bytecode."""
    agents = agent_packages(plan.closure, packages)
    room = asyncio.Semaphore(os.cpu_count() or 1)
    done = 0

    async def compile_one(package: AgentPackage) -> Path:
        nonlocal done
        async with room:
            extension = await compile_agent_package(library, toolchain, package, packages)
        done += 1
        progress(f"base runtime: {package.distribution.name} compiled, {done} of {len(agents)} agents")
        return extension

    extensions = await _side_by_side(*map(compile_one, agents))
    for package, extension in zip(agents, extensions, strict=True):
        put_in_place(package, extension, packages)
    await compile_tree(packages, directory)


async def _side_by_side(*work: Coroutine[Any, Any, T]) -> list[T]:
    """The results of all; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as together:
            tasks = [together.create_task(each) for each in work]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [task.result() for task in tasks]


async def _strip(distribution: Path, directory: Path) -> None:
    """Drop debug information, which self-built interpreters carry."""
    if shutil.which("strip") is None:
        return
    files = [distribution / BASE_EXECUTABLE, *sorted(path for path in distribution.rglob("*.so*") if path.is_file())]
    await run_tool(
        ["strip", "--strip-unneeded", *map(str, files)],
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
