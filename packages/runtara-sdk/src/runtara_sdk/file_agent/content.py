"""What `file-write-file` and `file-append-file` take as data."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

from runtara_sdk.agents.context import CapabilityContext
from runtara_sdk.agents.errors import AgentError
from runtara_sdk.agents.files import STRUCTURE_ERROR, open_file, too_large
from runtara_sdk.settings import EnvironmentReader

FILE_LIMIT_VARIABLE = "RUNTARA_MAX_FILE_SIZE"
DEFAULT_FILE_LIMIT = 100 * 1024 * 1024

READ_LIMIT_VARIABLE = "RUNTARA_MAX_READ_SIZE"
DEFAULT_READ_LIMIT = 50 * 1024 * 1024

DATA_DESCRIPTION = (
    "What is written: a text, {text}, {content} with base64, an array of bytes, or {$file} for a file of the "
    "workspace. A text is never taken for base64."
)


def file_limit() -> int:
    """How large a file may become by writing or appending, bytes."""
    return EnvironmentReader().integer(FILE_LIMIT_VARIABLE, DEFAULT_FILE_LIMIT, minimum=1)


def read_limit() -> int:
    """How large a file may be that is read into the data of a workflow, bytes."""
    return EnvironmentReader().integer(READ_LIMIT_VARIABLE, DEFAULT_READ_LIMIT, minimum=1)


def open_data(data: Any, context: CapabilityContext) -> tuple[BinaryIO, int]:
    """What is to be written, open for reading, and its size in bytes.

    Raises:
        AgentError: it has another form, or is larger than RUNTARA_MAX_FILE_SIZE.
    """
    text = data.get("text") if isinstance(data, Mapping) and "text" in data else data
    if isinstance(text, str):
        try:
            content = text.encode()
        except UnicodeEncodeError:
            raise AgentError.permanent(STRUCTURE_ERROR, "the text holds half a surrogate pair") from None
        stream: BinaryIO = io.BytesIO(content)
        size = len(content)
    else:
        opened = open_file(data, context)
        stream, size = opened.stream, opened.size
    if size > (limit := file_limit()):
        stream.close()
        raise too_large(size, limit)
    return stream, size
