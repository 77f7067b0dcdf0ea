"""The errors that capabilities have in common, for their listings."""

from __future__ import annotations

from runtara_sdk.agents import KnownError
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS

from runtara_agents_sftp import failures
from runtara_agents_sftp.failures import CONNECT_ERRORS, PATH_ERRORS
from runtara_agents_sftp.listing import TOO_MANY

TOO_MANY_ERROR = KnownError.permanent(TOO_MANY, "More files fit than may be.", "path")
READ = KnownError.transient(failures.READ_ERROR, "The file cannot be read to its end.", "path")
WRITE = (
    KnownError.permanent(failures.CREATE_FAILED, "The file or a directory cannot be made.", "path"),
    KnownError.transient(failures.WRITE_ERROR, "The file cannot be written whole.", "path"),
    KnownError.permanent(failures.ALREADY_EXISTS, "It is there, and may not be replaced.", "path"),
    KnownError.permanent(failures.IS_DIRECTORY, "It is a directory.", "path"),
)
FILES = tuple({error.code: error for error in (*FILE_ERRORS, *WORKSPACE_ERRORS)}.values())
COMMON = (*CONNECT_ERRORS, *PATH_ERRORS)
