"""The calls that show what the capabilities do; what they give is what a server of the tests gives."""

from __future__ import annotations

from typing import Any

from runtara_sdk.agents import Example

_SERVICE = "an HTTP service"
_REPORT = "0716f9264c9fe19f5d7455276107f3ddcc1d3497f63d60689a73558ae8a1bf5e"
_IMAGE = "7103eb53fd5f80c8cdbec48998127634f86e84cdc4604f3435b4286c4208901a"


def _response(url: str, status: int, kind: str, body: Any, **headers: str) -> dict[str, Any]:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "status_code": status,
        "headers": shown,
        "header_list": [{"name": name, "value": value} for name, value in shown.items()],
        "body": body,
        "body_kind": kind,
        "body_intact": True,
        "success": True,
        "url": url,
        "elapsed_ms": 21,
    }


REQUESTS = (
    Example(
        {"url": "https://api.example.com/orders", "query_parameters": {"state": "open"}},
        _response(
            "https://api.example.com/orders?state=open",
            200,
            "json",
            [{"sku": 7}],
            content_type="application/json",
            content_length="12",
        ),
        needs=_SERVICE,
    ),
    Example(
        {"url": "https://api.example.com/orders", "body": {"sku": 7}, "success_codes": ["2xx", 409]},
        _response(
            "https://api.example.com/orders",
            201,
            "json",
            {"id": 12},
            content_type="application/json",
            content_length="10",
        ),
        needs=_SERVICE,
    ),
    Example(
        {"url": "https://files.example.com/report.pdf", "response_type": "file", "save_to": "in/report.pdf"},
        _response(
            "https://files.example.com/report.pdf",
            200,
            "file",
            {
                "$file": "in/report.pdf",
                "filename": "report.pdf",
                "size": 9,
                "sha256": _REPORT,
                "mimeType": "application/pdf",
            },
            content_type="application/pdf",
            content_length="9",
        ),
        needs=_SERVICE,
    ),
)
PAGINATE = Example(
    {
        "url": "https://api.example.com/orders",
        "mode": "cursor",
        "next_path": "meta.next",
        "items_path": "data",
    },
    {"items": [{"sku": 7}, {"sku": 8}], "file": None, "count": 2, "pages": 2, "truncated": False, "next": None},
    needs=_SERVICE,
)
DOWNLOAD = Example(
    {"url": "https://files.example.com/a.iso", "save_to": "in/a.iso"},
    {
        "file": {
            "$file": "in/a.iso",
            "filename": "a.iso",
            "size": 6,
            "sha256": _IMAGE,
            "mimeType": "application/octet-stream",
        },
        "size": 6,
        "sha256": _IMAGE,
        "status_code": 200,
        "headers": {"content-type": "application/octet-stream", "etag": '"1"', "content-length": "6"},
        "resumed_from": 0,
    },
    needs=_SERVICE,
)
UPLOAD = Example(
    {"url": "https://files.example.com/a.csv", "file": {"$file": "out/a.csv"}},
    {
        "response": _response("https://files.example.com/a.csv", 201, "none", "", content_length="0"),
        "size": 7,
        "sha256": None,
    },
    needs=_SERVICE,
    files={"out/a.csv": "sku\nA1\n"},
)
POLL = Example(
    {"url": "https://api.example.com/jobs/7", "until_status": [200]},
    {
        "response": _response(
            "https://api.example.com/jobs/7",
            200,
            "json",
            {"state": "done"},
            content_type="application/json",
            content_length="17",
        ),
        "attempts": 3,
        "elapsed_ms": 20_000,
    },
    needs=_SERVICE,
)
GRAPHQL = Example(
    {"url": "https://api.example.com/graphql", "query": "{ orders { id } }"},
    {"data": {"orders": [{"id": 12}]}, "errors": [], "extensions": {}},
    needs="a GraphQL service",
)
