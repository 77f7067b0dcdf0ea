"""The calls that show what the capabilities do; what they give is what a server of the tests gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtara_sdk.agents import Example

_ORDERS = "fa5959e17d78f3173ad130e50fe87904375c519b4a506c1d3057d67d21b9ae16"
_MORE_ORDERS = "4eb495dcd069e8c299ee7d955b720e351ef558619495766f41594c62c85b3757"
_MODIFIED = 1_795_770_000


def _example(inputs: Mapping[str, Any], output: Any, files: Mapping[str, str] | None = None) -> Example:
    return Example(inputs, output, needs="an SFTP server", files=files or {}, connection="sftp")


def _entry(name: str, size: int) -> dict[str, Any]:
    return {
        "name": name,
        "path": f"/in/{name}",
        "size": size,
        "is_directory": False,
        "modified_time": _MODIFIED,
    }


LIST = _example(
    {"path": "/in", "pattern": "*.csv", "sort": "name"},
    [_entry("orders-1.csv", 14), _entry("orders.csv", 13)],
)
DOWNLOAD_TEXT = _example({"path": "/in/orders.csv"}, "sku,qty\nA1,2\n")
DOWNLOAD_FILE = _example(
    {"path": "/in/orders.csv", "save_to": "in/orders.csv"},
    {
        "file": {
            "$file": "in/orders.csv",
            "filename": "orders.csv",
            "size": 13,
            "sha256": _ORDERS,
            "mimeType": None,
        },
        "path": "/in/orders.csv",
        "size": 13,
        "sha256": _ORDERS,
    },
)
UPLOAD_TEXT = _example({"path": "/out/hello.txt", "content": "Hello\n"}, 6)
UPLOAD_FILE = _example(
    {"path": "/out/orders.csv", "data": {"$file": "out/orders.csv"}}, 13, {"out/orders.csv": "sku,qty\nA1,2\n"}
)
DELETE = _example({"path": "/in/orders.csv"}, {"success": True, "path": "/in/orders.csv"})
INFO = _example(
    {"path": "/in/orders.csv"},
    {
        "exists": True,
        "path": "/in/orders.csv",
        "size": 13,
        "is_directory": False,
        "is_link": False,
        "modified_time": _MODIFIED,
        "accessed_time": _MODIFIED,
        "mode": 0o644,
        "owner_id": 1000,
        "group_id": 1000,
    },
)
MOVE = _example(
    {"source": "/in/orders.csv", "destination": "/done/orders.csv"},
    {"source": "/in/orders.csv", "destination": "/done/orders.csv"},
)
CREATE_DIRECTORY = _example({"path": "/out/2026/11"}, {"path": "/out/2026/11", "created": True})
DELETE_DIRECTORY = _example(
    {"path": "/work/old", "recursive": True}, {"success": True, "path": "/work/old", "items_deleted": 2}
)


def _moved(source: str, destination: str, size: int, sha256: str | None) -> dict[str, Any]:
    return {
        "source": source,
        "destination": destination,
        "success": True,
        "size": size,
        "sha256": sha256,
        "error": None,
    }


DOWNLOAD_FILES = _example(
    {"pattern": "/in/*.csv", "save_to": "in"},
    {
        "files": [
            _moved("/in/orders-1.csv", "in/orders-1.csv", 14, _MORE_ORDERS),
            _moved("/in/orders.csv", "in/orders.csv", 13, _ORDERS),
        ],
        "succeeded": 2,
        "failed": 0,
        "bytes": 27,
    },
)
UPLOAD_FILES = _example(
    {"pattern": "out/*.csv", "path": "/out", "create_dirs": True},
    {
        "files": [_moved("out/orders.csv", "/out/orders.csv", 13, None)],
        "succeeded": 1,
        "failed": 0,
        "bytes": 13,
    },
    {"out/orders.csv": "sku,qty\nA1,2\n"},
)
WAIT = _example(
    {"pattern": "/in/orders-*.csv", "timeout_ms": 3_600_000},
    {"files": [_entry("orders-1.csv", 14)], "waited_ms": 5000},
)
