"""Translation of SQLite's errors."""

from __future__ import annotations

import sqlite3

from runtara_sdk.errors import StorageError

from runtara_core.database.interface import MISSING_COLUMN

_CODE_MASK = 0xFF

_REASONS: dict[int, tuple[str, bool]] = {
    sqlite3.SQLITE_BUSY: ("another process holds the database file locked", True),
    sqlite3.SQLITE_LOCKED: ("another connection holds the table locked", True),
    sqlite3.SQLITE_FULL: ("the disk is full", True),
    sqlite3.SQLITE_IOERR: ("the database file could not be read or written", True),
    sqlite3.SQLITE_NOMEM: ("memory is exhausted", True),
    sqlite3.SQLITE_CANTOPEN: ("the database file cannot be opened", True),
    sqlite3.SQLITE_READONLY: ("the database file is read-only", False),
    sqlite3.SQLITE_PERM: ("access to the database file is denied", False),
    sqlite3.SQLITE_CORRUPT: ("the database file is damaged", False),
    sqlite3.SQLITE_NOTADB: ("the file is not an SQLite database", False),
    sqlite3.SQLITE_CONSTRAINT: ("a value is not acceptable to the database", False),
    sqlite3.SQLITE_TOOBIG: ("a value is too big for the database", False),
}


def storage_error(error: BaseException, operation: str) -> BaseException:
    """A `StorageError` for an error of the driver; any other error as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    reason, retryable = sqlite_reason(error)
    translated = StorageError(f"{operation}: {reason}", retryable=retryable)
    translated.__cause__ = error
    return translated


def sqlite_reason(error: sqlite3.Error) -> tuple[str, bool]:
    """What went wrong, in words, and whether trying again may help."""
    if str(error).startswith("no such column") or "has no column named" in str(error):
        return MISSING_COLUMN, True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "the database refused the statement", False
    return _REASONS.get(code & _CODE_MASK, ("the database refused the statement", False))
