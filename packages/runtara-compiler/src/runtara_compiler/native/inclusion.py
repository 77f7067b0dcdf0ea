"""What goes into a base runtime and what stays out.

The agents become C, apart from each other (`runtara_compiler.native.agent_packages`); everything else is bytecode,
which builds fast, and starts and runs as fast. What is left out was measured to be dead weight in a workflow.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from runtara_compiler.native.closure import SDK_DISTRIBUTION, IncludedDistribution, Role, backend_modules

WHOLE_DISTRIBUTIONS = (SDK_DISTRIBUTION, "tzdata")
"""In every base besides agents and backends: a bare container has no time zones."""

LEFT_OUT: dict[str, frozenset[str]] = {
    "runtara-sdk": frozenset({"click", "packaging"}),
    "runtara-core": frozenset({"click", "asyncpg"}),
}
"""Requirements of the command line and the daemons, which workflows do without."""

_LEFT_OUT_MODULES = (
    "runtara_core.cli",
    "runtara_core.daemon",
    "runtara_core.database.postgres",
    "runtara_core.management_client",
    "runtara_core.management_service",
    "runtara_core.testing",
    "runtara_core.wire",
    "runtara_sdk.agent_process",
    "runtara_sdk.artifact",
    "runtara_sdk.cli",
    "runtara_sdk.testing",
    "pydantic.v1",
    "pydantic.mypy",
    "anyio._backends._trio",
    "anyio.pytest_plugin",
    "httpx._main",
)

_LEFT_OUT_STDLIB = frozenset(
    """
    __hello__ __phello__ aifc antigravity asynchat asyncore audioop bdb cProfile cgi cgitb chunk cmd
    code compileall crypt curses dbm distutils doctest ensurepip filecmp fileinput idlelib imaplib
    imghdr lib2to3 mailbox mailcap modulefinder msilib nis nntplib optparse ossaudiodev pdb pickletools
    pipes poplib profile pstats pty py_compile pyclbr pydoc pydoc_data rlcompleter sched shelve smtpd
    smtplib sndhdr sunau symtable tabnanny telnetlib test this tkinter trace tty turtle turtledemo
    unittest uu venv wave webbrowser wsgiref xdrlib zipapp
    """.split()  # noqa: SIM905 - read as a paragraph
)
"""Modules of the standard library that stay out unless a distribution of the closure imports them."""

_NAMED_STDLIB = ("_bisect", "_json", "asyncio", "logging.handlers", "sqlite3", "ssl", "zoneinfo")
_SDK_MODULES = (
    "runtara_sdk.workflow.program",
    "runtara_sdk.workflow.command_line",
    "runtara_sdk.core_backend",
    "runtara_sdk.instance",
)
_DEVELOPMENT_SUFFIXES = frozenset({".c", ".cc", ".cpp", ".h", ".pxd", ".pyi", ".pyx"})
_DEVELOPMENT_FILE = re.compile("test|benchmark")
_IMPORT = re.compile(rb"^[ \t]*(?:import|from)[ \t]+([A-Za-z_][A-Za-z0-9_]*)", re.MULTILINE)


def fingerprint() -> str:
    """Changes whenever the rules of this module change."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def trim_packages(packages: Path) -> None:
    """Remove from the copied closure what only developers need, and the modules that workflows do without."""
    for name in _LEFT_OUT_MODULES:
        place = packages.joinpath(*name.split("."))
        shutil.rmtree(place, ignore_errors=True)
        place.with_suffix(".py").unlink(missing_ok=True)
    for directory in sorted(packages.rglob("tests")):
        if directory.is_dir():
            shutil.rmtree(directory, ignore_errors=True)
    for path in list(packages.rglob("*")):
        if path.suffix in _DEVELOPMENT_SUFFIXES and path.is_file():
            path.unlink()


def stdlib_left_out(packages: Path) -> frozenset[str]:
    """The top-level modules of the standard library that nothing in the copied closure imports."""
    return _LEFT_OUT_STDLIB - _imported_names(packages)


def modules_to_check(closure: Iterable[IncludedDistribution], distribution: Path) -> list[str]:
    """Modules that a sound base can import: what is named here, agents, backends, trimmed libraries, extensions."""
    closure = tuple(closure)
    roots = sorted(name for item in closure if item.role is Role.COMPILED for name in item.top_level_packages)
    extensions = sorted(
        {
            ".".join((*path.relative_to(root).parent.parts, path.name.partition(".")[0]))
            for root in (distribution / "lib" / "lib-dynload", distribution / "packages")
            for path in root.rglob("*.so")
            if not path.name.startswith("lib")
        }
    )
    # A library whose trimmed part is asked for at run time would be taken for one that is not installed.
    installed = {name for item in closure for name in item.top_level_packages}
    trimmed = sorted(installed & {name.partition(".")[0] for name in _LEFT_OUT_MODULES} - set(roots))
    return [*_NAMED_STDLIB, *_SDK_MODULES, *roots, *trimmed, *backend_modules(), *extensions]


def _imported_names(packages: Path) -> frozenset[str]:
    names: set[str] = set()
    for path in packages.rglob("*.py"):
        if "tests" not in path.parts and not _DEVELOPMENT_FILE.search(path.name):
            names.update(match.decode() for match in _IMPORT.findall(path.read_bytes()))
    return frozenset(names)
