"""A short cut for a scenario file that was compiled before: found again without loading the compiler.

What was compiled is remembered under a digest of everything that decides the result of the `python` target: the file,
the ids, the interpreter, and the sources of SDK, compiler and agents as far as name, size and time of change tell.
Whatever of that changes, or cannot be read, leads to an ordinary compilation, whose own cache goes by content.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from runtara_sdk.entry_points import installed_version
from runtara_sdk.plugins import find_plugins
from runtara_sdk.services import ChildFile, CompiledScenario

TARGET = "python"
"""The only target with the short cut: a native build depends on far more than this looks at."""

_PACKAGES = ("runtara_sdk", "runtara_compiler")


class UnchangedScenarios:
    """What was compiled lately below one data directory; safe to lose, and to share between processes."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "cache" / "unchanged"

    def key(
        self,
        document: bytes,
        *,
        tenant_id: str,
        scenario_id: str,
        children: Sequence[tuple[ChildFile, bytes]] = (),
    ) -> str:
        """The digest under which a compilation of `document` with its children is remembered."""
        digest = hashlib.sha256()
        for part in (tenant_id, scenario_id, TARGET, sys.executable, sys.version, *_installed()):
            digest.update(part.encode("utf-8", "surrogateescape"))
            digest.update(b"\0")
        for child, content in children:
            digest.update(f"{child.scenario_id}\0{child.version}\0{len(content)}\0".encode())
            digest.update(content)
        digest.update(document)
        return digest.hexdigest()

    def find(self, key: str) -> CompiledScenario | None:
        """The compilation remembered under `key`, when its artifact is still there."""
        try:
            record = json.loads((self._directory / f"{key}.json").read_bytes())
            artifact = Path(record["artifact_path"])
            if artifact.stat().st_size != record["artifact_bytes"]:
                return None
            return CompiledScenario(
                scenario_id=record["scenario_id"],
                artifact_path=artifact,
                artifact_sha256=record["artifact_sha256"],
                artifact_bytes=record["artifact_bytes"],
                from_cache=True,
                warnings=tuple(record["warnings"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, key: str, compiled: CompiledScenario) -> None:
        """Keep a compilation; a directory that cannot be written only costs the short cut."""
        record = {**asdict(compiled), "artifact_path": str(compiled.artifact_path)}
        temporary = self._directory / f".{key}.{os.getpid()}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(record), encoding="utf-8")
            temporary.replace(self._directory / f"{key}.json")
        except OSError:
            temporary.unlink(missing_ok=True)


def _installed() -> Iterator[str]:
    """What is installed and decides the result, in a stable order."""
    packages = set(_PACKAGES)
    for plugin in find_plugins("runtara.agents"):
        yield f"{plugin.name} {plugin.target} {plugin.distribution} {plugin.version} {plugin.is_enabled}"
        packages.add(plugin.target.partition(":")[0].partition(".")[0])
    yield installed_version("runtara-sdk")
    yield installed_version("runtara-compiler")
    for package in sorted(packages):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            yield from sorted(_files(folder))


def _files(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            else:
                status = entry.stat()
                yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"
