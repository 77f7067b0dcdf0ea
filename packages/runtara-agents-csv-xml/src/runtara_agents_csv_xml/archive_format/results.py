"""Files that come out of archives, as results."""

from __future__ import annotations

import mimetypes
import posixpath
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from runtara_sdk.agents import AgentError, CapabilityContext, FileData, FileReference

from runtara_agents_csv_xml.archive_format.entries import OPTION_INVALID, TOO_LARGE

MOST_DATA_BYTES = 10 * 1024 * 1024
"""What is unpacked into the data of a workflow at most."""

Output = Literal["data", "file"]

_TYPES = mimetypes.MimeTypes()  # of Python alone: the system's tables differ from host to host


class CamelCase(BaseModel):
    """A result whose keys are camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def media_type(path: str) -> str | None:
    """The media type that the name of a file tells."""
    return _TYPES.guess_type(path, strict=False)[0]


def target_of(output: Output | None, path: str | None, option: str) -> str | None:
    """The path in the workspace that a result goes to; None when it is part of the data."""
    if output == "file" and path is None:
        raise AgentError.permanent(OPTION_INVALID, f"output `file` needs `{option}`, a path in the workspace")
    if output == "data" and path is not None:
        raise AgentError.permanent(OPTION_INVALID, f"output `data` goes nowhere: leave out `{option}`")
    return path


def stored(pieces: Iterable[bytes], path: str, context: CapabilityContext) -> FileReference:
    """Write pieces to a file of the workspace."""
    with context.require_workspace().create(path) as file:
        for piece in pieces:
            file.write(piece)
            context.check()
        return FileReference.of(file.commit(), mime_type=media_type(path))


def held(pieces: Iterable[bytes], limit_bytes: int) -> bytes:
    """Pieces as one; raises `AgentError` (ARCHIVE_TOO_LARGE) when they have more than `limit_bytes`."""
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > limit_bytes:
            raise AgentError.permanent(
                TOO_LARGE,
                f"the contents have more than {MOST_DATA_BYTES} bytes: unpack them into the workspace",
                attributes={"limit": MOST_DATA_BYTES},
            )
    return bytes(content)


def data(content: bytes, path: str) -> FileData:
    """A content with the name and the media type that its path tells."""
    return FileData.of(content, filename=posixpath.basename(path), mime_type=media_type(path))
