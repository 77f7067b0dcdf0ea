"""Where artifacts go below a data directory, and how they get there: whole, by one rename.

{data_dir}/{tenant}/scenarios/{scenario}/{target}_build/version_{n}/    the artifact and its module
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runtara_sdk.errors import RuntaraError
from runtara_sdk.settings import EnvironmentReader


class CacheError(RuntaraError):
    """The cache directory cannot be used; the message names it and the reason."""

    code = "CACHE_ERROR"


def data_directory(given: Path | None) -> Path:
    """The directory given, else DATA_DIR, else `.data`; absolute."""
    return (given or Path(EnvironmentReader().text("DATA_DIR", ".data"))).absolute()


def build_directory(data_dir: Path, tenant_id: str, scenario_id: str, target: str, version: int) -> Path:
    """The directory of one version of a scenario."""
    return data_dir / tenant_id / "scenarios" / scenario_id / f"{target}_build" / f"version_{version}"


def put_in_place(artifact: Path, source: Path, build_dir: Path, output: Path | None) -> None:
    """Put artifact and module into `build_dir`, and a copy of the artifact at `output`.

    A new directory of scenarios is closed to other users. Raises `CacheError`.
    """
    try:
        # Programs of other tenants may pass the tenant's directory, where they have users of their own.
        build_dir.parents[2].mkdir(parents=True, exist_ok=True, mode=0o700)
        _place(source, build_dir / source.name)
        _place(artifact, build_dir / artifact.name)
        if output is not None:
            _copy(artifact, output)
    except OSError as error:
        where = error.filename or build_dir
        raise CacheError(f"the artifact cannot be written to {where}: {error.strerror or error}") from error


def _place(source: Path, destination: Path) -> None:
    """Put an immutable file at `destination`, replacing what is there at once; a link where the file system allows."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    temporary.replace(destination)
    temporary.unlink(missing_ok=True)  # renaming one link of a file over another of the same file does nothing


def _copy(source: Path, destination: Path) -> None:
    """Copy a file with its mode to `destination`, replacing what is there at once."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
    shutil.copy2(source, temporary)
    temporary.replace(destination)
