"""`http-paginate`: all pages of a listing, each recorded when it has been read."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urljoin

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, FileReference
from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.workflow.json_text import encode_json

from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.exchange import exchange
from runtara_agents_http.models import HttpRequestInput, HttpResponse
from runtara_agents_http.paths import at_path
from runtara_agents_http.target import invalid_url, origin_of, without_credentials

ITEMS_INVALID = "HTTP_ITEMS_INVALID"
LOOP = "HTTP_PAGINATION_LOOP"
TOO_LARGE = "HTTP_ITEMS_TOO_LARGE"
OPTION_INVALID = "HTTP_INVALID_OPTION"

MEDIA_TYPE = "application/x-ndjson"
_NEXT = re.compile(r'<([^>]*)>((?:\s*;\s*[^;,="\s]+(?:\s*=\s*(?:"[^"]*"|[^;,"\s]*))?)*)', re.ASCII)
_RELATION = re.compile(r';\s*rel\s*=\s*"?([^";]*)"?', re.IGNORECASE)


class HttpPaginateInput(HttpRequestInput):
    """A listing, and how its pages hang together."""

    mode: Literal["link_header", "next_link", "cursor", "page", "offset"] = Field(
        default="link_header",
        title="Mode",
        description="How the next page is found: the `Link` header; a URL in the body at `next_path`; a cursor in the "
        "body at `next_path`, sent as `parameter`; or a counted page or offset, sent as `parameter`.",
    )
    items_path: str = Field(
        default="",
        title="Items",
        description="Where the items are in the body; empty: it is the array.",
        examples=["data.items"],
    )
    next_path: str = Field(
        default="next", title="Next", description="Where next link or cursor are in the body.", examples=["meta.cursor"]
    )
    parameter: str | None = Field(
        default=None, description="Query parameter of cursor, page or offset: `cursor`, `page`, `offset` when left out."
    )
    parameter_in: Literal["query", "body"] = Field(
        default="query", description="Whether the parameter is in the query or a member of the JSON body."
    )
    first_page: int = Field(default=1, ge=0, description="Number of the first page, for `page`.")
    page_size: int | None = Field(
        default=None, ge=1, description="Items of a page: sent as `size_parameter`, and what `offset` counts by."
    )
    size_parameter: str | None = Field(default=None, description="Query parameter of `page_size`.", examples=["limit"])
    max_pages: int = Field(default=100, ge=1, le=100_000, description="At most so many pages.")
    max_items: int = Field(default=10_000, ge=1, le=10_000_000, description="At most so many items.")
    max_items_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1, le=2**40, description="Of all items as JSON; for `output` `file` none but here."
    )
    delay_ms: int = Field(default=0, ge=0, le=86_400_000, description="Durable wait between two pages.")
    output: Literal["items", "file"] = Field(
        default="items",
        description="`items`: an array. `file`: JSON lines in the workspace at `items_file`, page by page.",
    )
    items_file: str | None = Field(
        default=None, description="Where `output` `file` goes.", examples=["work/orders.jsonl"]
    )


class HttpPaginateOutput(BaseModel):
    """The items of all pages."""

    items: list[Any] | None = Field(description="In their order; null where they are in a file.")
    file: FileReference | None = Field(default=None, description="JSON lines in the workspace.")
    count: int = Field(description="How many items.")
    pages: int = Field(description="How many pages were read.")
    truncated: bool = Field(description="Whether there is more than `max_pages` or `max_items` let through.")
    next: Any = Field(description="Link, cursor, page or offset of what comes next; null at the end.")


async def paginate(pool: HttpClientPool, inputs: HttpPaginateInput, context: CapabilityContext) -> HttpPaginateOutput:
    """Read page after page. A step that is run again finds the pages that were read.

    Raises:
        AgentError: a page fails, has no items, or leads back to one that was read.
    """
    if inputs.output == "file" and inputs.items_file is None:
        raise AgentError.permanent(OPTION_INVALID, "output `file` needs `items_file`, a path in the workspace")
    sink = _File(context.require_workspace(), inputs.items_file or "") if inputs.output == "file" else None
    items: list[Any] = []
    count, size, place = 0, 0, _first(inputs)
    seen = {repr(place)}
    for number in range(1, inputs.max_pages + 1):
        if number > 1 and inputs.delay_ms:
            await context.durable.sleep(f"delay-{number}", inputs.delay_ms)

        async def read(place: Any = place, number: int = number, size: int = size) -> dict[str, Any]:
            found, following = await _page(pool, inputs, context, place, number)
            if sink is None:
                return {"items": found, "next": following}
            # The record holds where the items lie, not the items.
            return {"count": len(found), "end": sink.write(size, found), "next": following}

        page = await context.durable.checkpoint(f"page-{number}", read)
        if sink is None:
            items += page["items"]
            found_count = len(page["items"])
            size += len(encode_json(page["items"]))
            if size > inputs.max_items_bytes:
                text = f"the items have more than {inputs.max_items_bytes} bytes: use output `file`"
                raise AgentError.permanent(TOO_LARGE, text, attributes={"max_items_bytes": inputs.max_items_bytes})
        else:
            found_count, size = page["count"], page["end"]
        count += found_count
        place = page["next"]
        if place is None or not found_count:
            place = None
            break
        if count >= inputs.max_items:
            break
        if repr(place) in seen:
            shown = str(place)[:200]
            raise AgentError.permanent(LOOP, f"page {number} leads back to {shown}", attributes={"next": shown})
        seen.add(repr(place))
    truncated = place is not None or count > inputs.max_items
    result: dict[str, Any] = {"pages": number, "truncated": truncated, "next": place, "items": None}
    if sink is None:
        kept = items[: inputs.max_items]
        return HttpPaginateOutput(**{**result, "items": kept, "count": len(kept)})
    return HttpPaginateOutput(**result, count=count, file=await sink.finished(size))


async def _page(
    pool: HttpClientPool, inputs: HttpPaginateInput, context: CapabilityContext, place: Any, number: int
) -> tuple[list[Any], Any]:
    """The items of one page, and where the next one is."""
    request = _request(inputs, place)
    is_change = request.body is not None or request.method not in ("GET", "HEAD", "OPTIONS")
    if is_change and inputs.idempotency_key is None and context.idempotency_key is not None:
        request = request.model_copy(update={"idempotency_key": f"{context.idempotency_key}/page-{number}"})
    response = await exchange(pool, request, context)
    found = at_path(response.body, inputs.items_path, "items_path")
    if found is None and inputs.items_path:
        found = []
    if not isinstance(found, list):
        shown = without_credentials(response.url)
        raise AgentError.permanent(
            ITEMS_INVALID,
            f"{shown}: there is no array at items_path {inputs.items_path!r}, but {type(found).__name__}",
            attributes={"url": shown, "path": inputs.items_path},
        )
    return found, _next(inputs, response, place, len(found))


def _first(inputs: HttpPaginateInput) -> Any:
    return {"page": inputs.first_page, "offset": 0}.get(inputs.mode)


def _request(inputs: HttpPaginateInput, place: Any) -> HttpPaginateInput:
    changes: dict[str, Any] = {}
    query = dict(inputs.query_parameters)
    if inputs.mode in ("link_header", "next_link"):
        if place is not None:
            changes |= {"url": place}
            query = {}  # the link has all of it
    elif place is not None:
        name = inputs.parameter or inputs.mode
        if inputs.parameter_in == "query":
            query[name] = place
        else:
            changes["body"] = {**(inputs.body if isinstance(inputs.body, dict) else {}), name: place}
    if inputs.page_size is not None and inputs.size_parameter and (place is None or "url" not in changes):
        query[inputs.size_parameter] = inputs.page_size
    return inputs.model_copy(update={**changes, "query_parameters": query})


def _next(inputs: HttpPaginateInput, response: HttpResponse, place: Any, count: int) -> Any:
    if inputs.mode == "page":
        return place + 1 if count and (inputs.page_size is None or count >= inputs.page_size) else None
    if inputs.mode == "offset":
        return place + count if count and (inputs.page_size is None or count >= inputs.page_size) else None
    if inputs.mode == "link_header":
        return _followed(inputs, response, _next_link(response.headers.get("link", "")))
    found = at_path(response.body, inputs.next_path, "next_path")
    if found in (None, "", False):
        return None
    if inputs.mode == "cursor":
        return found
    return _followed(inputs, response, found if isinstance(found, str) else None)


def _followed(inputs: HttpPaginateInput, response: HttpResponse, link: str | None) -> str | None:
    """The absolute URL of a link, which must stay at the origin that the step called, or one that it trusts."""
    if not link:
        return None
    url = urljoin(response.url, link)
    try:
        origins = {origin_of(response.url), *map(origin_of, inputs.trusted_redirect_origins)}
        is_trusted = origin_of(url) in origins
    except ValueError:
        is_trusted = False
    if not is_trusted:
        raise invalid_url(
            url, "the next page is at another origin: list it in trusted_redirect_origins if that is right"
        )
    return url


def _next_link(header: str) -> str | None:
    for found in _NEXT.finditer(header):
        relation = _RELATION.search(found[2])
        if relation is not None and "next" in relation[1].lower().split():
            return found[1]
    return None


class _File:
    """The items as JSON lines; a page that is written again, after a death, takes the place of what was left of it."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace = workspace
        self._name = name
        self._path = workspace.path(name)

    def write(self, begin: int, items: list[Any]) -> int:
        """Write a page behind the one that ends at `begin`; returns where this one ends."""
        content = b"".join(encode_json(item) + b"\n" for item in items)
        self._workspace.take(len(content))
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.open("ab") as file:
            file.truncate(begin)
            file.write(content)
        return begin + len(content)

    async def finished(self, size: int) -> FileReference:
        """The reference to the whole file."""
        import os

        self._path.touch(exist_ok=True)
        with self._path.open("ab") as file:
            file.truncate(size)
            os.fsync(file.fileno())
        return FileReference.of(self._workspace.describe(self._name), mime_type=MEDIA_TYPE)
