"""Processor time of processes, as Linux counts it."""

from __future__ import annotations

import os
import time
from pathlib import Path


def own_seconds() -> float:
    """Of this process."""
    return time.process_time()


def family_seconds(process_id: int) -> float:
    """Of a process and its children, those that run now."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return sum(_seconds(each) for each in (process_id, *map(int, children)))


def _seconds(process_id: int) -> float:
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it has ended
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
