"""Inputs and result of `http-request`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, field_validator, model_validator
from runtara_sdk.agents import RawConnection
from runtara_sdk.agents.files import FileInput

Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
Scalar = str | int | float | bool

DEFAULT_TIMEOUT_MS = 30_000
MAXIMUM_TIMEOUT_MS = 86_400_000
DEFAULT_RESPONSE_BYTES = 10 * 1024 * 1024
MAXIMUM_RESPONSE_BYTES = 256 * 1024 * 1024
DEFAULT_FILE_BYTES = 1024**3
MAXIMUM_FILE_BYTES = 1024**4
DEFAULT_REDIRECTS = 10
MAXIMUM_REDIRECTS = 50

_STATUSES = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?|([1-9])[xX]{2}")

URL_PATTERN = (
    r"^(?:[hH][tT][tT][pP][sS]?://[^\s\\/?#]+(?:[/?#][^\s\\]*)?"
    r"|(?![a-zA-Z][a-zA-Z0-9+.-]*:)[^\s\\]+)$"
)
"""An http or https URL with a host, or a relative one; without blanks and backslashes."""


class MultipartPart(BaseModel):
    """One part of a multipart body: a text `value`, a `file`, or a file as base64 `content`."""

    name: str = Field(min_length=1, description="Name of the form field.")
    value: str | None = Field(default=None, description="Text of the part.")
    content: str | None = Field(default=None, description="Bytes of the part, base64.", repr=False)
    file: FileInput = Field(default=None, description="A file in any of its forms; of the workspace, it is streamed.")
    filename: str | None = Field(default=None, description="Name of the file; that of `file` when left out.")
    content_type: str | None = Field(
        default=None,
        validation_alias=AliasChoices("contentType", "content_type"),
        description="Media type; application/octet-stream for content when left out.",
    )


def _auth_by_name(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class StepAuth(BaseModel):
    """How a step shows who calls. What is left out here is taken from the parameters of its connection."""

    type: Literal["none", "basic", "bearer", "api_key", "digest"] = Field(
        description="`none` leaves the credentials of the connection out."
    )
    username: str | None = Field(default=None, description="For `basic` and `digest`.")
    password: str | None = Field(default=None, description="For `basic` and `digest`.", repr=False)
    token: str | None = Field(default=None, description="For `bearer`.", repr=False)
    api_key: str | None = Field(
        default=None,
        validation_alias=AliasChoices("api_key", "apiKey"),
        description="For `api_key`.",
        repr=False,
    )
    location: Literal["header", "query"] | None = Field(
        default=None, description="Where an `api_key` goes; `header` when left out."
    )
    name: str | None = Field(
        default=None, description="Of the header or query parameter; `X-API-Key` and `api_key` when left out."
    )
    prefix: str | None = Field(default=None, description="A word before the key, with a blank between them.")

    def secrets(self) -> list[str]:
        """The values that nobody may see."""
        return [value for value in (self.password, self.token, self.api_key) if value]

    def parameters(self) -> dict[str, Any]:
        """What is given, under the names that connections have for it."""
        given = {
            key: value
            for key, value in self.model_dump(exclude={"type", "name"}).items()
            if value is not None and key in _AUTH_PARAMETERS[self.type]
        }
        if self.name is not None and self.type == "api_key":
            given |= {"header_name": self.name, "parameter_name": self.name}
        return given


_AUTH_PARAMETERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "api_key": ("api_key", "location", "prefix"),
    "digest": ("username", "password"),
}


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
        "`text`: a string. `form`: an object of texts, numbers and lists, or a string that is encoded already. "
        "`binary`: base64, an array of bytes, {content, filename?, mimeType?}, or {$file} of the workspace, streamed.",
        examples=[{"sku": 7}],
    )
    body_type: Literal["json", "text", "form", "binary", "multipart"] = Field(
        default="json", title="Body type", description="How the body is encoded."
    )
    multipart: list[MultipartPart] = Field(
        default_factory=list, title="Parts", description="The parts of a body of type `multipart`."
    )
    auth: Annotated[StepAuth | None, BeforeValidator(_auth_by_name)] = Field(
        default=None,
        title="Authentication",
        description="In place of what the connection says: none, basic, bearer, api_key or digest. The name of the "
        "type alone takes the values from the connection.",
        examples=[{"type": "digest"}],
        repr=False,
    )
    idempotency_key: str | None = Field(
        default=None,
        title="Idempotency key",
        min_length=1,
        description="Value of the Idempotency-Key header, in place of the one that the run time makes for each step.",
    )
    response_type: Literal["auto", "json", "text", "binary", "file"] = Field(
        default="auto",
        title="Response type",
        description="`auto`: JSON by content type or form, text by charset, else {content, mimeType} with base64. "
        "`json`: parsed, or the text if it is not JSON. `text`: a string. `binary`: base64. "
        "`file`: streamed to the path `save_to` of the workspace.",
    )
    save_to: str | None = Field(
        default=None,
        title="Save to",
        min_length=1,
        description="Path in the workspace for `response_type` `file`; a file that is there is replaced.",
        examples=["in/report.pdf"],
    )
    strict_json: bool = Field(
        default=False,
        title="Strict JSON",
        description="Whether a body that should be JSON and is not is an error, and not a text.",
    )
    success_codes: list[int | str] = Field(
        default_factory=list,
        title="Success codes",
        description="Statuses that are no errors: 404, `200-299`, `2xx`; 200 to 299 when left out.",
        examples=[["2xx", 404]],
    )
    follow_redirects: bool = Field(
        default=True, title="Follow redirects", description="Otherwise a redirect is a response like any other."
    )
    max_redirects: int = Field(
        default=DEFAULT_REDIRECTS,
        ge=0,
        le=MAXIMUM_REDIRECTS,
        title="Most redirects",
        description="More of them in a row are an error.",
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
    connect_timeout_ms: int | None = Field(
        default=None,
        ge=1,
        le=MAXIMUM_TIMEOUT_MS,
        title="Connect timeout",
        description="For a connection, its TLS handshake included, in milliseconds; `timeout_ms` holds as well.",
    )
    read_timeout_ms: int | None = Field(
        default=None,
        ge=1,
        le=MAXIMUM_TIMEOUT_MS,
        title="Read timeout",
        description="For the server to send or take the next bytes, in milliseconds; `timeout_ms` holds as well.",
    )
    fail_on_error: bool = Field(
        default=True, title="Fail on error", description="Whether a status that is no success is an error."
    )
    max_response_bytes: int = Field(
        default=DEFAULT_RESPONSE_BYTES,
        ge=0,
        le=MAXIMUM_FILE_BYTES,
        title="Largest response",
        description="A longer response body, measured after decompression, is an error; in bytes. At most 256 MiB, "
        "but for `response_type` `file`, where 1 GiB is the default and 1 TiB the most.",
    )
    proxy: str | None = Field(
        default=None,
        title="Proxy",
        min_length=1,
        description="URL of an HTTP proxy, or `none`; the proxy of the environment when left out.",
        examples=["http://proxy.example.com:3128"],
        repr=False,
    )
    verify_tls: bool = Field(
        default=True,
        title="Verify TLS",
        description="False talks to whoever answers under the name, an attacker included: for trials only.",
    )
    ca_bundle: FileInput = Field(
        default=None,
        title="CA bundle",
        description="Authorities that are trusted in place of the public ones: PEM text, or a file.",
        repr=False,
    )
    connection: RawConnection | None = Field(default=None, alias="_connection", repr=False)

    @field_validator("success_codes")
    @classmethod
    def _read_statuses(cls, value: list[int | str]) -> list[int | str]:
        if not all(_STATUSES.fullmatch(str(item)) for item in value):
            raise ValueError("give statuses such as 404, '200-299' or '2xx'")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> HttpRequestInput:
        if self.response_type == "file":
            if self.save_to is None:
                raise ValueError("response_type file needs save_to, a path in the workspace")
        elif self.save_to is not None:
            raise ValueError("save_to is given, but response_type is not: set response_type to file")
        elif self.max_response_bytes > MAXIMUM_RESPONSE_BYTES:
            raise ValueError(f"max_response_bytes may be at most {MAXIMUM_RESPONSE_BYTES} unless response_type is file")
        return self

    @property
    def response_limit_bytes(self) -> int:
        """The bound of the response body."""
        if self.response_type == "file" and "max_response_bytes" not in self.model_fields_set:
            return DEFAULT_FILE_BYTES
        return self.max_response_bytes

    def is_success(self, status: int) -> bool:
        """Whether a status is one of those that the step takes for a success."""
        if not self.success_codes:
            return 200 <= status <= 299
        for item in self.success_codes:
            found = _STATUSES.fullmatch(str(item))
            if found is None:
                continue
            first, last, hundreds = found.groups()
            if hundreds:
                if status // 100 == int(hundreds):
                    return True
            elif int(first) <= status <= int(last or first):
                return True
        return False


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
    body_kind: Literal["json", "text", "binary", "file", "none"] = Field(description="What the body is.")
    body_intact: bool = Field(description="False when characters of a text had to be replaced.")
    success: bool = Field(description="Whether the status is 200-299, or one of `success_codes`.")
    url: str = Field(description="Where the response came from, after redirects.")
    elapsed_ms: int = Field(description="From the first look-up to the last byte, in milliseconds.")
