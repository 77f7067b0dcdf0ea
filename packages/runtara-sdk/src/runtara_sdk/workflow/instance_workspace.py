"""Where the files of an instance lie.

RUNTARA_WORKSPACE_DIR says so; the environment sets it for what it launches. A program on an embedded SQLite file has
them beside that file, in `FILE-workspaces/INSTANCE`, so that they are there when it is started again.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from runtara_sdk.agents.workspace import DEFAULT_LIMIT_BYTES, LIMIT_VARIABLE, Workspace
from runtara_sdk.identifiers import validate_identifier
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.settings import EnvironmentReader


def workspace_of(reader: EnvironmentReader, settings: InstanceSettings) -> Workspace | None:
    """The workspace of an instance, without what an earlier process left half-written; None where there is no place."""
    workspace = Workspace.from_environment(reader) or _beside_database(reader, settings)
    if workspace is not None:
        workspace.clean()
    return workspace


def _beside_database(reader: EnvironmentReader, settings: InstanceSettings) -> Workspace | None:
    scheme, _, rest = settings.server_addr.partition(":")
    rest = unquote(rest.partition("?")[0])
    database = rest[3:] if rest.startswith("///") else rest
    if scheme.lower() != "sqlite" or not database or ":memory:" in database:
        return None
    validate_identifier("instance_id", settings.instance_id)
    directory = Path(f"{database}-workspaces").absolute() / settings.instance_id
    return Workspace(directory, limit_bytes=reader.integer(LIMIT_VARIABLE, DEFAULT_LIMIT_BYTES, minimum=1))
