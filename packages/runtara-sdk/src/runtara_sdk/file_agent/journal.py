"""What was begun with a file, so that a step that is run again after a crash knows its own work.

The last operations on each path are noted with the idempotency key of their step before they take effect. Without a
key, outside of workflows, nothing is noted.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtara_sdk.agents.workspace import JOURNAL_PREFIX, PARTIAL, Workspace, sync_directory, translated

_KEPT = 100
"""Operations on one path that may be under way side by side, and more."""

LOCK = threading.RLock()
"""Held while a file is changed in place: steps side by side append to one file."""


class Journal:
    """The operations of one step on one path.

    Args:
        workspace: of the instance.
        path: what is changed.
        key: the idempotency key of the step.
    """

    def __init__(self, workspace: Workspace, path: str, key: str | None) -> None:
        self._directory = workspace.path("") / PARTIAL
        self._file = self._directory / f"{JOURNAL_PREFIX}{hashlib.sha256(path.encode()).hexdigest()[:32]}"
        self._path = path
        self._key = None if key is None else hashlib.sha256(key.encode()).hexdigest()

    @property
    def is_kept(self) -> bool:
        """Whether there is a key to note anything under."""
        return self._key is not None

    def own(self, operation: str) -> Mapping[str, Any] | None:
        """What this step noted of an operation in an earlier run, if it did."""
        if self._key is None:
            return None
        entries = self._read()
        return next((each for each in reversed(entries) if (each["key"], each["do"]) == (self._key, operation)), None)

    def last(self, operation: str) -> Mapping[str, Any] | None:
        """What any step noted last of an operation on the path."""
        return next((each for each in reversed(self._read()) if each["do"] == operation), None)

    def note(self, operation: str, **details: Any) -> None:
        """Note what is about to be done; it is on the disk when this returns."""
        if self._key is None:
            return
        entries = [*self._read(), {"key": self._key, "do": operation, **details}][-_KEPT:]
        temporary = Path(f"{self._file}.new")
        with translated(self._path):
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(entries, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._file)
            sync_directory(self._directory)

    def _read(self) -> list[dict[str, Any]]:
        try:
            entries = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet; it is replaced as a whole, so it is never half there
            return []
        return entries if isinstance(entries, list) else []
