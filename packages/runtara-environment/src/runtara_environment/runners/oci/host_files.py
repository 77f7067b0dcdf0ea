"""What a container sees of the host, read-only: the system's programs and libraries, and this Python with its packages.

Neither `/etc` nor any home is among it. Of `/etc` a container has only the names that programs look up there, and the
authorities that certificates are checked against.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki/ca-trust",
    "/etc/pki/tls",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
_NETWORK_SETTINGS = ("/etc/hosts", "/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class HostFiles:
    """Paths of the host that a container has, too.

    Attributes:
        mounted: directories and files that appear under their own paths.
        links: symbolic links, with what they lead to.
    """

    mounted: tuple[Path, ...]
    links: tuple[tuple[Path, str], ...] = ()


def host_files(*, with_network: bool) -> HostFiles:
    """The system and this interpreter; `with_network` adds how the host finds the names of others."""
    mounted, links = [], []
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            links.append((path, str(path.readlink())))
        elif path.is_dir():
            mounted.append(path)
    settings = (*_SETTINGS, *(_NETWORK_SETTINGS if with_network else ()))
    mounted.extend(path for path in map(Path, settings) if path.exists())
    return HostFiles(without_nested([*mounted, *interpreter_directories()]), tuple(links))


def interpreter_directories() -> list[Path]:
    """The installation of this Python, its virtual environment, and what that finds through `.pth` files."""
    directories = [Path(sys.base_prefix), Path(sys.base_exec_prefix), Path(sys.prefix), Path(sys.exec_prefix)]
    directories += [Path(sys.executable).resolve().parent.parent]
    for name in ("purelib", "platlib"):
        packages = Path(sysconfig.get_path(name))
        directories.append(packages)
        for path_file in sorted(packages.glob("*.pth")):
            for line in path_file.read_text(encoding="utf-8", errors="replace").splitlines():
                directory = packages / line.strip()
                if line.strip() and not line.startswith(("#", "import ", "import\t")) and directory.is_dir():
                    directories.append(directory)
    return directories


def without_nested(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths without those that lie in another one, sorted."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return tuple(kept)
