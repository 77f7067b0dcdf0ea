"""A file of lines, one JSON object each, that is only ever added to."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import TypeAlias

Line: TypeAlias = dict[str, str | int]
"""What a line says; `at_ms` is a time in milliseconds since 1970 UTC."""

logger = logging.getLogger(__name__)


class AuditLog:
    """The log at a path; the file is made with the first line, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def record(self, line: Line) -> None:
        """Add a line.

        A line that cannot be written is told in the log of the daemon and nothing more: the change has happened.
        """
        try:
            await asyncio.to_thread(self._append, f"{json.dumps(line)}\n".encode())
        except OSError as error:
            logger.warning("%s is not in %s: %s", line, self.path, error.strerror)

    def _append(self, line: bytes) -> None:
        # One write each, so that the lines of several processes do not mix.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
