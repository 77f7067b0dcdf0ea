"""`http-download`: a response of any size into the workspace, gone on with after a death."""

from __future__ import annotations

import asyncio
import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field, model_validator
from runtara_sdk.agents import AgentError, CapabilityContext, FileReference
from runtara_sdk.agents.workspace import WorkspaceFile

from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.exchange import open_exchange
from runtara_agents_http.models import HttpRequestInput
from runtara_agents_http.response import decompressed_pieces, media_type_of, refuse_error_status, too_large
from runtara_agents_http.target import without_credentials

if TYPE_CHECKING:
    import httpx

CHECKSUM_MISMATCH = "HTTP_CHECKSUM_MISMATCH"
INCOMPLETE = "HTTP_INCOMPLETE"

_WRITE_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_FILENAME = re.compile(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)\"?", re.IGNORECASE)
_UNWANTED = re.compile(r"[^\w.\- ]+")


class HttpDownloadInput(HttpRequestInput):
    """What is downloaded, and where to."""

    expected_sha256: str | None = Field(
        default=None, pattern="^[0-9a-fA-F]{64}$", description="The file must have this SHA-256, hexadecimal."
    )
    resume: bool = Field(
        default=True,
        description="Whether a later run goes on where a dead one stopped, if the server still has the same file.",
    )

    @model_validator(mode="after")
    def _check_together(self) -> HttpDownloadInput:
        self.response_type = "file"
        if not any(name.lower() in ("accept-encoding", "range") for name in self.headers):
            # What is compressed on the way has another length, and cannot be gone on with.
            self.headers = {**self.headers, "Accept-Encoding": "identity"}
        return self


class HttpDownloadOutput(BaseModel):
    """The file."""

    file: FileReference
    size: int = Field(description="Bytes.")
    sha256: str
    status_code: int
    headers: dict[str, str] = Field(description="By lower-case name.")
    resumed_from: int = Field(description="Bytes that an earlier run had left; 0 where none had.")


async def download(pool: HttpClientPool, inputs: HttpDownloadInput, context: CapabilityContext) -> HttpDownloadOutput:
    """Fetch it.

    What belongs together is told by ETag or Last-Modified of the first response, which is recorded.

    Raises:
        AgentError: the call fails, or what came is not what was expected.
    """
    workspace = context.require_workspace()

    async def look() -> dict[str, Any]:
        async with open_exchange(pool, inputs, context) as response:
            await refuse_error_status(inputs, response)
            return {"validator": _validator(response), "path": inputs.save_to or _name(inputs, response)}

    begun = await context.durable.checkpoint("begun", look) if inputs.resume and inputs.method == "GET" else None
    validator = begun["validator"] if begun else None
    path = inputs.save_to or (begun["path"] if begun else _name(inputs, None))
    with workspace.create(path, resume_token=f"{inputs.url} {validator}" if validator else None) as file:
        offset = file.offset
        request = _ranged(inputs, offset, validator)
        async with open_exchange(pool, request, context) as response:
            if offset and not _goes_on(response, offset):
                if response.status_code not in (200, 416):
                    await refuse_error_status(inputs, response)
                file.restart()
                offset = 0
            if response.status_code != 416:
                await refuse_error_status(inputs, response)
                await _receive(inputs, response, file, context)
                headers = {name.lower(): value for name, value in response.headers.items()}
                status, media_type = response.status_code, media_type_of(response) or None
        if response.status_code == 416:  # the partial file is not a part of what is there now
            async with open_exchange(pool, inputs, context) as response:
                await refuse_error_status(inputs, response)
                await _receive(inputs, response, file, context)
                headers = {name.lower(): value for name, value in response.headers.items()}
                status, media_type = response.status_code, media_type_of(response) or None
        if inputs.expected_sha256 is not None and file.sha256 != inputs.expected_sha256.lower():
            file.restart()
            shown = without_credentials(inputs.url)
            raise AgentError.permanent(
                CHECKSUM_MISMATCH, f"{shown}: the file has another SHA-256", attributes={"url": shown}
            )
        stored = await asyncio.to_thread(file.commit)
    return HttpDownloadOutput(
        file=FileReference.of(stored, mime_type=media_type),
        size=stored.size,
        sha256=stored.sha256 or "",
        status_code=status,
        headers=headers,
        resumed_from=offset,
    )


async def _receive(
    inputs: HttpDownloadInput, response: httpx.Response, file: WorkspaceFile, context: CapabilityContext
) -> None:
    waiting = bytearray()
    begun = file.size
    async for piece in decompressed_pieces(inputs, response):
        waiting += piece
        if file.size + len(waiting) > inputs.response_limit_bytes:
            raise too_large(inputs)
        if len(waiting) >= _WRITE_BYTES:
            await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
            context.check()
    await asyncio.to_thread(file.write, bytes(waiting))
    length = response.headers.get("content-length", "")
    is_plain = "content-encoding" not in response.headers
    if is_plain and length.isdecimal() and file.size - begun != int(length):
        shown = without_credentials(inputs.url)
        text = f"{shown}: {file.size - begun} bytes came of {length}"
        raise AgentError.transient(INCOMPLETE, text, attributes={"url": shown})


def _ranged(inputs: HttpDownloadInput, offset: int, validator: str | None) -> HttpDownloadInput:
    if not offset or not validator:
        return inputs
    headers = {**inputs.headers, "Range": f"bytes={offset}-", "If-Range": validator}
    return inputs.model_copy(update={"headers": headers})


def _goes_on(response: httpx.Response, offset: int) -> bool:
    if response.status_code != 206:
        return False
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    return found is not None and int(found[1]) == offset


def _validator(response: httpx.Response) -> str | None:
    """What names this version of the file; a weak tag names several."""
    tag: str = response.headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag
    changed: str | None = response.headers.get("last-modified")
    return changed


def _name(inputs: HttpDownloadInput, response: httpx.Response | None) -> str:
    """A name for the file: as the server says, else as the URL ends; nothing of it leads anywhere."""
    found = _FILENAME.search(response.headers.get("content-disposition", "")) if response is not None else None
    raw = unquote(found[1]) if found else unquote(posixpath.basename(urlsplit(inputs.url).path))
    name = _UNWANTED.sub("_", raw.replace("\\", "/").rpartition("/")[2]).strip(" .")
    return f"downloads/{name[:150] or 'file'}"
