"""A short cut for a scenario that was compiled before: found again without loading the compiler.

What was compiled is remembered under a digest of everything that decides the result: documents, ids, options, the
interpreter, and what is installed as far as name, size and time of change tell. Whatever of that changes, or cannot be
read, leads to an ordinary compilation, whose own cache goes by content.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from runtara_sdk.entry_points import installed_metadata_folders, installed_version
from runtara_sdk.plugins import BUNDLE_VARIABLE, find_plugins
from runtara_sdk.services import ChildFile
from runtara_sdk.settings import EnvironmentReader

if TYPE_CHECKING:
    from runtara_compiler.compilation import CompilationResult

_PACKAGES = ("runtara_sdk", "runtara_compiler")
_SKIPPED_DIRECTORIES = frozenset({"__pycache__", "node_modules"})
_MAXIMUM_FILES = 20_000
_NATIVE_GROUPS = ("runtara.agents", "runtara.backends")


@dataclass(frozen=True, slots=True)
class RememberedCompilation:
    """What a compilation gave.

    Attributes:
        artifact: the executable file under its content key.
        source: the generated module beside it.
        sha256: of the artifact, hexadecimal.
        size: of the artifact, in bytes.
        summary: side effects, children, default variables and warnings, as `CompilationResult.summary` gives them.
    """

    artifact: Path
    source: Path
    sha256: str
    size: int
    summary: dict[str, Any]

    @classmethod
    def of(cls, result: CompilationResult) -> RememberedCompilation:
        """What is worth remembering of a result."""
        artifact = result.cached_path
        return cls(artifact, result.cached_source_path, result.binary_checksum, result.binary_size, result.summary())

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings, a line each."""
        return tuple(f"[{warning['code']}] {warning['message']}" for warning in self.summary["warnings"])


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
        version: int,
        target: str,
        debug: bool = False,
        children: Sequence[tuple[ChildFile, bytes]] = (),
    ) -> str | None:
        """The digest under which a compilation of `document` with its children is remembered.

        None when not all that decides the result can be seen at a glance.
        """
        installed = _installed(target)
        if installed is None:
            return None
        digest = hashlib.sha256()
        options = (tenant_id, scenario_id, str(version), target, str(debug))
        for part in (*options, sys.executable, sys.version, *installed):
            digest.update(part.encode("utf-8", "surrogateescape"))
            digest.update(b"\0")
        for child, content in children:
            digest.update(f"{child.scenario_id}\0{child.version}\0{len(content)}\0".encode())
            digest.update(content)
        digest.update(document)
        return digest.hexdigest()

    def find(self, key: str) -> RememberedCompilation | None:
        """The compilation remembered under `key`, when its artifact is still there as it was."""
        try:
            record = json.loads((self._directory / f"{key}.json").read_bytes())
            artifact, source = Path(record["artifact"]), Path(record["source"])
            status = artifact.stat()
            as_it_was = (status.st_size, status.st_mtime_ns) == (record["size"], record["changed_at_ns"])
            if not as_it_was or not source.is_file():
                return None
            return RememberedCompilation(artifact, source, record["sha256"], record["size"], record["summary"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, key: str, compilation: RememberedCompilation) -> None:
        """Keep a compilation; a directory that cannot be written only costs the short cut."""
        temporary = self._directory / f".{key}.{os.getpid()}"
        try:
            record = {
                "artifact": str(compilation.artifact),
                "source": str(compilation.source),
                "sha256": compilation.sha256,
                "size": compilation.size,
                "changed_at_ns": compilation.artifact.stat().st_mtime_ns,
                "summary": compilation.summary,
            }
            self._directory.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(record), encoding="utf-8")
            temporary.replace(self._directory / f"{key}.json")
        except OSError:
            temporary.unlink(missing_ok=True)


def _installed(target: str) -> list[str] | None:
    """What is installed and decides the result, in a stable order; None when it cannot be seen at a glance.

    A `python` artifact holds no distribution, so what the generated module depends on is enough. In a native one is
    everything that SDK, agents and backends require.
    """
    try:
        if EnvironmentReader().optional_text(BUNDLE_VARIABLE) is not None:
            return None  # what a bundle gives is only known once it has been imported
        lines = [f"{installed_version('runtara-sdk')} {installed_version('runtara-compiler')}"]
        packages = set(_PACKAGES)
        for group in _NATIVE_GROUPS:
            for plugin in find_plugins(group):
                lines.append(
                    f"{plugin.name} {plugin.target} {plugin.distribution} {plugin.version} {plugin.is_enabled}"
                )
                if group == "runtara.agents":
                    packages.add(plugin.target.partition(":")[0].partition(".")[0])
        if target != "python":
            folders = installed_metadata_folders()
            if folders is None:
                return None
            for folder in folders:
                lines += _distribution(folder)
        for package in sorted(packages):
            spec = find_spec(package)
            for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
                lines += _tree(folder)
    except (OSError, ValueError):
        return None
    return lines


def _distribution(folder: str) -> Iterator[str]:
    """What an installer recorded of a distribution, and the sources of one that is installed in place."""
    for name in ("RECORD", "METADATA", "PKG-INFO"):
        path = Path(folder, name)
        if path.exists():
            status = path.stat()
            yield f"{path} {status.st_size} {status.st_mtime_ns}"
    origin = Path(folder, "direct_url.json")
    if not origin.exists():
        return
    document = json.loads(origin.read_bytes())
    if document.get("dir_info", {}).get("editable"):
        project = Path(unquote(urlsplit(document["url"]).path))
        yield from _tree(str(project / "src" if (project / "src").is_dir() else project))


def _tree(folder: str) -> list[str]:
    """Each file below a folder with its size and time of change; raises `ValueError` when there are too many."""
    files = sorted(_files(folder))
    if len(files) > _MAXIMUM_FILES:
        raise ValueError(f"{folder} has more than {_MAXIMUM_FILES} files")
    return files


def _files(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED_DIRECTORIES and not entry.name.startswith("."):
                    yield from _files(entry.path)
            else:
                status = entry.stat(follow_symlinks=False)
                yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"
