"""Rows that are added to a CSV file of the workspace, once for each step."""

from __future__ import annotations

from runtara_sdk.agents import CapabilityContext
from runtara_sdk.agents.workspace import StoredFile, translated
from runtara_sdk.file_agent.changing import append_once
from runtara_sdk.file_agent.journal import LOCK, Journal

_LARGEST_FILE = 2**50


def append_rows(path: str, header: bytes, rows: bytes, context: CapabilityContext) -> StoredFile:
    """Add rows to a file, behind a header where it is new; a step that is run again adds nothing.

    A process may have died while it wrote: what it left of its rows counts as nothing.

    Args:
        path: in the workspace.
        header: of a new file; a byte order mark, too.
        rows: what is added.
        context: of the step.
    """
    with LOCK, translated(path):
        is_first = _is_first(path, header + rows, context)
        added = append_once(path, header + rows if is_first else rows, context, limit_bytes=_LARGEST_FILE)
    return StoredFile(path, added.total_size)


def _is_first(path: str, content: bytes, context: CapabilityContext) -> bool:
    """Whether the file has nothing yet, or this step wrote the first rows of it."""
    workspace = context.require_workspace()
    target = workspace.path(path)
    if not target.is_file():
        return True
    journal = Journal(workspace, path, context.idempotency_key)
    own, last = journal.own("append"), journal.last("append")
    with target.open("rb") as file:
        size = target.stat().st_size
        if last is not None and int(last["offset"]) < size < int(last["offset"]) + int(last["size"]):
            size = int(last["offset"])  # the rest was torn off by a crash
        if size == 0:
            return True
        return own is not None and own["offset"] == 0 and file.read(len(content)) == content
