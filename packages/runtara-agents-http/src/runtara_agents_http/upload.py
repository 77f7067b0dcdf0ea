"""`http-upload`: a file of any size as the body of a request, or as a part of a form."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.files import FileInput, open_file

from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.exchange import exchange
from runtara_agents_http.models import HttpRequestInput, HttpResponse, Method, MultipartPart

OPTION_INVALID = "HTTP_INVALID_OPTION"

_PIECE_BYTES = 1024 * 1024


class HttpUploadInput(HttpRequestInput):
    """What is uploaded, and how."""

    method: Method = Field(default="PUT", title="Method", description="HTTP method; POST for a form.")
    file: FileInput = Field(
        title="File", description="The file; of the workspace, it is streamed.", examples=[{"$file": "out/orders.csv"}]
    )
    as_form: bool = Field(
        default=False, description="Whether it is a part of multipart/form-data, with `fields` beside it."
    )
    field_name: str = Field(default="file", min_length=1, description="Name of its part in a form.")
    filename: str | None = Field(default=None, description="Its name in a form; that of the file when left out.")
    content_type: str | None = Field(
        default=None, description="Media type; that of the file, else application/octet-stream, when left out."
    )
    fields: dict[str, str] = Field(default_factory=dict, description="Further fields of the form.")
    checksum: Literal["none", "md5", "sha256", "sha512"] = Field(
        default="none", description="A digest of the file, sent in `checksum_header`."
    )
    checksum_header: str = Field(
        default="Content-Digest",
        description="`Content-Digest` and `Repr-Digest` as RFC 9530 has them, `Content-MD5` and `Digest` in base64, "
        "any other one in hexadecimal.",
    )


class HttpUploadOutput(BaseModel):
    """What was sent, and the answer."""

    response: HttpResponse
    size: int = Field(description="Bytes of the file.")
    sha256: str | None = Field(default=None, description="Of the file, where `checksum` is sha256.")


async def upload(pool: HttpClientPool, inputs: HttpUploadInput, context: CapabilityContext) -> HttpUploadOutput:
    """Send it.

    Raises:
        AgentError: the file cannot be had, or the call fails.
    """
    if inputs.body is not None or inputs.multipart:
        raise AgentError.permanent(OPTION_INVALID, "the body is `file`: leave out `body` and `multipart`")
    digest: Any = None
    with open_file(inputs.file, context) as opened:
        size, media_type = opened.size, inputs.content_type or opened.mime_type or "application/octet-stream"
        name = inputs.filename or opened.filename
        if inputs.checksum != "none":
            digest = _digest(opened.stream, inputs.checksum, context)
    headers = dict(inputs.headers)
    if digest is not None:
        headers[inputs.checksum_header] = _header(inputs.checksum_header, inputs.checksum, digest)
    changes: dict[str, Any] = {"headers": headers}
    if inputs.as_form:
        parts = [MultipartPart(name=key, value=value) for key, value in inputs.fields.items()]
        part = MultipartPart(name=inputs.field_name, file=inputs.file, filename=name, content_type=media_type)
        changes |= {"body_type": "multipart", "multipart": [*parts, part]}
        if "method" not in inputs.model_fields_set:
            changes["method"] = "POST"
    else:
        if not any(key.lower() == "content-type" for key in headers):
            headers["Content-Type"] = media_type
        changes |= {"body_type": "binary", "body": inputs.file}
    request = inputs.model_copy(update=changes)
    request.model_fields_set.add("method")
    response = await exchange(pool, request, context)
    sha256 = digest.hexdigest() if inputs.checksum == "sha256" else None
    return HttpUploadOutput(response=response, size=size, sha256=sha256)


def _digest(stream: BinaryIO, name: str, context: CapabilityContext) -> Any:
    digest = hashlib.new(name, usedforsecurity=False)
    while piece := stream.read(_PIECE_BYTES):
        digest.update(piece)
        context.check()
    return digest


def _header(header: str, name: str, digest: Any) -> str:
    plain = header.lower()
    encoded = base64.b64encode(digest.digest()).decode()
    standard = {"sha256": "sha-256", "sha512": "sha-512"}.get(name, name)
    if plain in ("content-digest", "repr-digest"):
        return f"{standard}=:{encoded}:"
    if plain == "digest":
        return f"{standard.upper()}={encoded}"
    return encoded if plain == "content-md5" else str(digest.hexdigest())
