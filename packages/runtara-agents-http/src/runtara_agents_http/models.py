"""Inputs and result of `http-request`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import RawConnection

Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
Scalar = str | int | float | bool

DEFAULT_TIMEOUT_MS = 30_000
MAXIMUM_TIMEOUT_MS = 86_400_000
DEFAULT_RESPONSE_BYTES = 10 * 1024 * 1024
MAXIMUM_RESPONSE_BYTES = 256 * 1024 * 1024


URL_PATTERN = (
    r"^(?:[hH][tT][tT][pP][sS]?://[^\s\\/?#]+(?:[/?#][^\s\\]*)?"
    r"|(?![a-zA-Z][a-zA-Z0-9+.-]*:)[^\s\\]+)$"
)
"""An http or https URL with a host, or a relative one; without blanks and backslashes."""


class MultipartPart(BaseModel):
    """One part of a multipart body: a text `value`, or a file as base64 `content`."""

    name: str = Field(min_length=1, description="Name of the form field.")
    value: str | None = Field(default=None, description="Text of the part.")
    content: str | None = Field(default=None, description="Bytes of the part, base64.", repr=False)
    filename: str | None = Field(default=None, description="Name of the file.")
    content_type: str | None = Field(
        default=None,
        validation_alias=AliasChoices("contentType", "content_type"),
        description="Media type; application/octet-stream for content when left out.",
    )


class HttpRequestInput(BaseModel):
    """One HTTP call."""

    method: Method = Field(
        default="GET",
        title="Method",
        description="HTTP method. A request with a body and no method is a POST.",
    )
    url: str = Field(
        title="URL",
        min_length=1,
        description="Absolute, or relative when the connection has a base URL.",
        examples=["https://api.example.com/orders"],
        # For those who check a scenario before it runs; a run says more of what is wrong.
        json_schema_extra={"pattern": URL_PATTERN},
    )
    headers: dict[str, str] = Field(
        default_factory=dict, title="Headers", description="Request headers.", examples=[{"Accept": "application/json"}]
    )
    query_parameters: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict,
        title="Query parameters",
        description="Added to the URL, percent-encoded; a list repeats its key.",
        examples=[{"state": "open"}],
    )
    body: Any = Field(
        default=None,
        title="Body",
        description="Null and the empty string send none. `json`: text goes as it is, the rest as JSON. "
        "`text`: a string. `binary`: base64, an array of bytes, or {content, filename?, mimeType?}.",
        examples=[{"sku": 7}],
    )
    body_type: Literal["json", "text", "binary", "multipart"] = Field(
        default="json", title="Body type", description="How the body is encoded."
    )
    multipart: list[MultipartPart] = Field(
        default_factory=list, title="Parts", description="The parts of a body of type `multipart`."
    )
    response_type: Literal["auto", "json", "text", "binary"] = Field(
        default="auto",
        title="Response type",
        description="`auto`: JSON by content type or form, text by charset, else {content, mimeType} with base64. "
        "`json`: parsed, or the text if it is not JSON. `text`: a string. `binary`: base64.",
    )
    trusted_redirect_headers: list[str] = Field(
        default_factory=list,
        title="Headers for redirects",
        description="Names of further headers that go along when a redirect leads to another origin. Others than "
        "Accept, Accept-Language, User-Agent and the Content-Type of a body stay behind.",
        examples=[["X-Request-Id"]],
    )
    trusted_redirect_origins: list[str] = Field(
        default_factory=list,
        title="Origins for redirects",
        description="Further origins that may see all headers of the step after a redirect; credentials of a "
        "connection go to none of them.",
        examples=[["https://files.example.com"]],
    )
    timeout_ms: int = Field(
        default=DEFAULT_TIMEOUT_MS,
        ge=1,
        le=MAXIMUM_TIMEOUT_MS,
        title="Timeout",
        description="For the whole exchange, redirects included, in milliseconds.",
    )
    fail_on_error: bool = Field(
        default=True, title="Fail on error", description="Whether a status outside 200-299 is an error."
    )
    max_response_bytes: int = Field(
        default=DEFAULT_RESPONSE_BYTES,
        ge=0,
        le=MAXIMUM_RESPONSE_BYTES,
        title="Largest response",
        description="A longer response body, measured after decompression, is an error; in bytes.",
    )
    connection: RawConnection | None = Field(default=None, alias="_connection", repr=False)


class HttpHeader(BaseModel):
    """One header as it arrived."""

    name: str = Field(description="In lower case.")
    value: str


class HttpResponse(BaseModel):
    """What the server answered."""

    status_code: int = Field(description="HTTP status.")
    headers: dict[str, str] = Field(description="By lower-case name; repeated ones joined by a comma and a blank.")
    header_list: list[HttpHeader] = Field(description="Every header in order, repeated ones each for itself.")
    body: Any = Field(description="As `response_type` says.")
    body_kind: Literal["json", "text", "binary", "none"] = Field(description="What the body is.")
    body_intact: bool = Field(description="False when characters of a text had to be replaced.")
    success: bool = Field(description="Whether the status is 200-299.")
