"""What goes into a base runtime and in which form: Nuitka's options for it.

The SDK and agents become C; other distributions stay bytecode, which builds fast and starts as fast.
Everything named here was measured to be dead weight in a workflow, or to be dropped silently when it is not named.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from runtara_compiler.native.closure import SDK_DISTRIBUTION, IncludedDistribution, Role, backend_modules

WHOLE_DISTRIBUTIONS = ("tzdata",)
"""In every base besides SDK, agents and backends: a bare container has no time zones."""

LEFT_OUT: dict[str, frozenset[str]] = {
    "runtara-sdk": frozenset({"click"}),
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
    "runtara_sdk.artifact",
    "runtara_sdk.cli",
    "runtara_sdk.testing",
    "pydantic.v1",
    "pydantic.mypy",
    "anyio._backends._trio",
    "anyio.pytest_plugin",
    "httpx._main",
)
_LEFT_OUT_PACKAGES = ("asyncpg", "click", "h2", "pygments", "qh3", "rich", "socksio", "trio", "uvloop")
"""Optional imports of libraries in the base. One that is in the closure is kept."""

_LEFT_OUT_STDLIB = tuple(
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

_NAMED_STDLIB = ("_bisect", "_json", "asyncio", "logging.handlers", "sqlite3", "zoneinfo")
_SDK_MODULES = (
    "runtara_sdk.workflow.program",
    "runtara_sdk.workflow.command_line",
    "runtara_sdk.quic_backend",
    "runtara_sdk.instance",
)

_OPTIONS = (
    "--mode=standalone",
    "--lto=no",
    "--python-flag=no_site",
    "--python-flag=isolated",
    "--deployment",
    "--assume-yes-for-downloads",
    "--disable-cache=ccache",
    "--nofollow-import-to=*.tests",
)
_DEVELOPMENT_FILE = re.compile("test|benchmark")
_IMPORT = re.compile(rb"^[ \t]*(?:import|from)[ \t]+([A-Za-z_][A-Za-z0-9_]*)", re.MULTILINE)


def fingerprint() -> str:
    """Changes whenever the rules of this module change."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def base_options(closure: Iterable[IncludedDistribution], packages: Path) -> list[str]:
    """Nuitka's options for the base; `packages` holds the copied closure."""
    closure = tuple(closure)
    options = list(_OPTIONS)
    if not _has_static_library():
        options.append("--static-libpython=no")
    provided = {name for item in closure for name in item.top_level_packages}
    options += [f"--nofollow-import-to={name}" for name in _LEFT_OUT_MODULES]
    options += [f"--nofollow-import-to={name}" for name in _LEFT_OUT_PACKAGES if name not in provided]
    imported = _imported_names(packages)
    options += [f"--nofollow-import-to={name}" for name in _LEFT_OUT_STDLIB if name not in imported]
    options += [f"--include-module={name}" for name in _NAMED_STDLIB]
    for item in closure:
        modules = item.top_level_packages
        if item.role is not Role.REQUIRED:
            # Backends are found by entry point. Of other distributions Nuitka adds what their code asks for by name.
            options.append(f"--include-distribution-metadata={item.name}")
            for name in modules:
                options += [f"--include-package={name}", f"--include-package-data={name}"]
        if item.role is not Role.COMPILED:
            options += [f"--noinclude-custom-mode={name}:bytecode" for name in modules]
        elif item.name == SDK_DISTRIBUTION:
            # Generated descriptors: tables that C code makes no faster.
            generated = (file.relative for file in item.files if file.relative.endswith("_pb2.py"))
            options += [f"--noinclude-custom-mode={_module_name(path)}:bytecode" for path in generated]
    return options


def modules_to_check(closure: Iterable[IncludedDistribution], distribution: Path) -> list[str]:
    """Modules that a sound base can import: what is named here, agents, backends, trimmed libraries, extensions."""
    closure = tuple(closure)
    roots = sorted(name for item in closure if item.role is Role.COMPILED for name in item.top_level_packages)
    extensions = sorted(
        ".".join(path.relative_to(distribution).with_suffix("").parts)
        for path in distribution.rglob("*.so")
        if not path.name.startswith("lib")
    )
    # A library whose trimmed part is asked for at run time would be taken for one that is not installed.
    installed = {name for item in closure for name in item.top_level_packages}
    trimmed = sorted(installed & {name.partition(".")[0] for name in _LEFT_OUT_MODULES} - set(roots))
    return [*_NAMED_STDLIB, *_SDK_MODULES, *roots, *trimmed, *backend_modules(), *extensions]


def _has_static_library() -> bool:
    # Nuitka takes the static library where it is known to work, but stops where it is merely not installed.
    directory = sysconfig.get_config_var("LIBPL")
    return directory is not None and any(Path(directory).glob("libpython*.a"))


def _module_name(relative: str) -> str:
    return relative.removesuffix(".py").replace("/", ".")


def _imported_names(packages: Path) -> frozenset[str]:
    names: set[str] = set()
    for path in packages.rglob("*.py"):
        if "tests" not in path.parts and not _DEVELOPMENT_FILE.search(path.name):
            names.update(match.decode() for match in _IMPORT.findall(path.read_bytes()))
    return frozenset(names)
