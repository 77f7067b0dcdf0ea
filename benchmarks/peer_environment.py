"""Virtual environments of peers: made on first use and kept for the next run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_DIRECTORY = Path.home() / ".cache" / "runtara-benchmarks"
_INSTALL_SECONDS = 300


def peer_python(name: str, *packages: str) -> Path | None:
    """The interpreter of a peer's environment; None, and a message, when it cannot be had."""
    directory = _DIRECTORY / name
    python = directory / "bin" / "python"
    installed = directory / "installed"
    try:
        if not installed.exists():
            shutil.rmtree(directory, ignore_errors=True)
            for command in (
                ["uv", "venv", "--quiet", "--python", sys.executable, str(directory)],
                ["uv", "pip", "install", "--quiet", "--python", str(python), *packages],
            ):
                subprocess.run(command, check=True, timeout=_INSTALL_SECONDS, capture_output=True)
            installed.touch()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{name} left out: it cannot be installed ({error})", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)
        return None
    return python
