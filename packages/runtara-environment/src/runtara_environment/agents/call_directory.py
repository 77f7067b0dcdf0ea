"""The files of one test of a capability: what it is launched in, and what finds its process again.

DIRECTORY/launch.json   the runner and the planned state of the launch, for a daemon that comes after a killed one
DIRECTORY/run           the run directory of the launch: workspace, order, answer
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_environment.data_directory_modes import PASSABLE
from runtara_environment.plain_files import NotPlainFileError, read_plain_file
from runtara_environment.tree_removal import remove_tree

_LAUNCH_FILE = "launch.json"
_MAX_LAUNCH_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class CallDirectory:
    """One directory. All of it blocks."""

    path: Path

    @property
    def run_directory(self) -> Path:
        """Where the process works."""
        return self.path / "run"

    @property
    def order_path(self) -> Path:
        """The pipe with the order."""
        return self.run_directory / "order"

    @property
    def answer_path(self) -> Path:
        """The file with the answer."""
        return self.run_directory / "answer"

    def make(self) -> None:
        """Make the directories; users of programs pass all but the last, which the runner opens to its program."""
        for directory in (self.path.parent, self.path):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            directory.chmod(PASSABLE)
        self.run_directory.mkdir(mode=0o700)

    def note_launch(self, runner_type: str, state: Mapping[str, Any]) -> None:
        """Write down what is about to be launched. Raises OSError."""
        temporary = self.path / f"{_LAUNCH_FILE}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"runner": runner_type, "state": dict(state)}, file)
        temporary.replace(self.path / _LAUNCH_FILE)

    def noted_launch(self) -> tuple[str, Mapping[str, Any]] | None:
        """Runner and planned state; None when nothing can have been launched."""
        try:
            noted = json.loads(read_plain_file(self.path / _LAUNCH_FILE, _MAX_LAUNCH_BYTES))
            return str(noted["runner"]), dict(noted["state"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def forget_launch(self) -> None:
        """Nothing of the launch lives any more."""
        (self.path / _LAUNCH_FILE).unlink(missing_ok=True)

    def remove_unless_noted(self) -> None:
        """Remove everything, unless something of a launch may live: then the next daemon finds it by this directory."""
        if not (self.path / _LAUNCH_FILE).exists():
            self.remove()

    def read_answer(self, limit_bytes: int) -> bytes | None:
        """What the process has answered, cut at the limit; None when it has not, or put something else there."""
        try:
            return read_plain_file(self.answer_path, limit_bytes)
        except (FileNotFoundError, NotPlainFileError):
            return None

    def remove(self) -> None:
        """Remove everything, also where a program has taken the right to look into its directories from its user."""
        with contextlib.suppress(OSError):  # something writes there still: the next daemon does it
            remove_tree(self.path)
