"""Source trees as bytecode: the same bytes for the same sources, wherever they are compiled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runtara_compiler.native.process import run_tool

COMPILE_DEADLINE_SECONDS = 600.0

# A file that is no Python of this version (a template, say) stays as it is.
_PROGRAM = """\
import compileall, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
tree = sys.argv[1]
compileall.compile_dir(tree, quiet=2, legacy=True, stripdir=tree, prependdir=sys.argv[2], invalidation_mode=mode)
"""


async def compile_tree(tree: Path, directory: Path) -> None:
    """Turn every module below `tree` into a `.pyc` file in its place; `directory` takes the log.

    Tracebacks name the files from the tree's own name on.
    """
    await run_tool(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(tree), tree.name],
        what=f"compiling {tree.name} to bytecode",
        directory=directory,
        # Whatever a set's order decides must come out the same every time.
        variables={"PATH": os.environ.get("PATH", os.defpath), "PYTHONHASHSEED": "0"},
        log=directory / f"bytecode-{tree.name}.log",
        deadline_seconds=COMPILE_DEADLINE_SECONDS,
    )
    for source in tree.rglob("*.py"):
        if source.with_suffix(".pyc").exists():
            source.unlink()
