"""Places within the JSON of a response."""

from __future__ import annotations

from typing import Any

from runtara_sdk.agents import AgentError
from runtara_sdk.workflow.paths import PathError, resolve_path

PATH_INVALID = "HTTP_PATH_INVALID"


def at_path(body: Any, path: str, name: str) -> Any:
    """The value at a path such as `data.items` or `links[0].href`; the body itself for an empty one.

    Raises:
        AgentError: permanent HTTP_PATH_INVALID.
    """
    if not path:
        return body
    try:
        return resolve_path(f"body{path}" if path.startswith("[") else f"body.{path}", {"body": body})
    except PathError as error:
        raise AgentError.permanent(PATH_INVALID, f"{name}: {error}", attributes={"path": path[:200]}) from None
