"""The tests work where their own process was started with signals ignored, as a shell's background job is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

INNER = """
import signal
import subprocess
import sys


def test_a_child_ends_at_the_signal():
    program = "import os, signal; os.kill(os.getpid(), signal.{name}); print('ignored')"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).stdout == b""
"""

OUTER = """
import os, signal, sys
signal.signal(signal.{name}, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sys.argv[1:]])
"""


def test_children_of_tests_start_with_default_dispositions(tmp_path: Path) -> None:
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        inner = tmp_path / f"test_{name.lower()}.py"
        inner.write_text(INNER.format(name=name), encoding="utf-8")
        command = [sys.executable, "-c", OUTER.format(name=name), "-c", REPOSITORY / "pyproject.toml"]
        command += [f"--rootdir={REPOSITORY}", f"--confcutdir={REPOSITORY}", "-p", "conftest", inner]
        finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
        assert finished.returncode == 0, finished.stdout + finished.stderr
