"""Results that are too large for a checkpoint, of capabilities that declare that they may go to the workspace."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.workflow.json_text import encode_json

DIRECTORY = "results"


async def spilled(result: Any, key: str, longest: int, workspace: Workspace | None) -> Any:
    """The result, or a reference to the file of the workspace that holds it as JSON.

    Args:
        result: a JSON value.
        key: of the call: the file has the same name in every run of it.
        longest: bytes of JSON that a checkpoint may hold.
        workspace: of the instance; without one the result stays as it is, and is refused where it is recorded.
    """
    if workspace is None:
        return result
    encoded = encode_json(result)
    if len(encoded) <= longest:
        return result
    return await asyncio.to_thread(
        _write, workspace, f"{DIRECTORY}/{hashlib.sha256(key.encode()).hexdigest()}", encoded
    )


def _write(workspace: Workspace, name: str, encoded: bytes) -> dict[str, Any]:
    with workspace.create(name) as file:
        file.write(encoded)
        return file.commit().reference(mime_type="application/json")
