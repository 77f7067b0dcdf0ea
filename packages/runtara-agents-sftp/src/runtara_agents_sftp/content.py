"""What is uploaded, from any of its forms, and what was downloaded, as text."""

from __future__ import annotations

import base64
import binascii
import io
from typing import BinaryIO

from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.files import open_file

from runtara_agents_sftp import failures
from runtara_agents_sftp.failures import failed
from runtara_agents_sftp.models import DownloadInput, UploadInput


def opened_content(inputs: UploadInput, context: CapabilityContext) -> tuple[BinaryIO, int]:
    """What is to be written, and its size."""
    if (inputs.data is None) == (inputs.content is None):
        raise failed(failures.INVALID_CONTENT, inputs.path, "give either `content` or `data`")
    if inputs.data is not None or not isinstance(inputs.content, str):
        opened_file = open_file(inputs.data if inputs.data is not None else inputs.content, context)
        return opened_file.stream, opened_file.size
    try:
        if inputs.content_format == "base64":
            content = base64.b64decode("".join(inputs.content.split()), validate=True)
        else:
            content = inputs.content.encode()
    except (binascii.Error, ValueError):
        reason = f"`content` is no {inputs.content_format}"
        raise failed(failures.INVALID_CONTENT, inputs.path, reason) from None
    return io.BytesIO(content), len(content)


def text_of(content: bytes, inputs: DownloadInput) -> str:
    """The text of bytes, in the encoding of the call."""
    try:
        return content.decode(inputs.encoding, "strict" if inputs.strict else "replace")
    except UnicodeDecodeError as error:
        text = f"byte {error.start + inputs.offset} is not {inputs.encoding}"
        raise failed(failures.NOT_TEXT, inputs.path, text) from None
    except LookupError:
        raise AgentError.permanent(
            failures.NOT_TEXT, f"encoding {inputs.encoding[:40]!r} is unknown", attributes={"path": inputs.path}
        ) from None
