"""Which QUIC library a process uses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport.quic.aioquic_library import Aioquic
from runtara_sdk.transport.quic.library import LibraryName, QuicLibrary
from runtara_sdk.transport.quic.qh3_library import Qh3

LIBRARY_VARIABLE = "RUNTARA_QUIC_LIBRARY"


def select_library(name: LibraryName | str | None = None, variables: Mapping[str, str] | None = None) -> QuicLibrary:
    """The library of this name; None reads RUNTARA_QUIC_LIBRARY (default `auto`).

    Raises `ConfigurationError` when the name is unknown or the library is not installed.
    """
    wanted = name or (os.environ if variables is None else variables).get(LIBRARY_VARIABLE) or LibraryName.AUTO
    try:
        return _load(LibraryName(wanted))
    except ValueError:
        known = ", ".join(LibraryName)
        raise ConfigurationError(f"{LIBRARY_VARIABLE}={wanted!r} is not a QUIC library: use one of {known}") from None


@cache
def _load(name: LibraryName) -> QuicLibrary:
    if name is LibraryName.AIOQUIC:
        return Aioquic()
    try:
        return Qh3()
    except ImportError:
        if name is LibraryName.AUTO:
            return Aioquic()
        raise ConfigurationError(
            f"{LIBRARY_VARIABLE}=qh3, but qh3 is not installed: pip install 'runtara-sdk[fast]', or unset the variable"
        ) from None
