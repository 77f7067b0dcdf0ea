"""What a capability receives as `_connection`: the parameters of a stored connection, credentials included."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class RawConnection(BaseModel):
    """A connection as the connection service hands it out.

    Declare it in an input model as `connection: RawConnection | None = Field(default=None, alias="_connection")`.
    Its representation never shows the parameters.
    """

    integration_id: str
    parameters: dict[str, Any] = Field(default_factory=dict, repr=False)
    connection_subtype: str | None = None
    rate_limit_config: Any = Field(default=None, repr=False)
