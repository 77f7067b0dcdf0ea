"""Where the program of an instance runs: `DATA_DIR/<tenant>/runs/<instance>`, kept between its launches.

Instance ids belong to a database, and one data directory may serve several (a local run on SQLite and one on
PostgreSQL, or a database that was deleted and made anew). So a directory carries the name of its database, and the
instance of another one gets a directory beside it.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import path_component

_MARKER = "database-id"


def choose_run_directory(data_dir: Path, tenant_id: str, instance_id: str, database_id: str) -> Path:
    """The directory of an instance of this database, made when missing; the same for every launch.

    Raises `InvalidInputError` when the names are taken, `OSError` when the data directory cannot be written.
    """
    runs = data_dir / path_component("tenant_id", tenant_id) / "runs"
    name = path_component("instance_id", instance_id)
    for candidate in (runs / name, runs / f"{name}~{database_id[:12]}"):
        candidate.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _owner(candidate, database_id) == database_id:
            return candidate
    raise InvalidInputError(f"the run directories of instance {instance_id} in {runs} belong to other databases")


def _owner(directory: Path, database_id: str) -> str:
    """The database that a directory belongs to: `database_id` when it belonged to none."""
    marker = directory / _MARKER
    if not marker.exists():
        temporary = directory / f"{_MARKER}.{uuid.uuid4().hex}"
        temporary.write_text(database_id, encoding="ascii")
        try:
            os.link(temporary, marker)  # whole or not at all, and never over another's
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return marker.read_text(encoding="ascii")
