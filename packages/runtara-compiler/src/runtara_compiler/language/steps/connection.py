"""Connection: what a stored connection holds, fetched when the step runs."""

from __future__ import annotations

from typing import ClassVar, Literal

from runtara_compiler.language.shapes import LEAF, UNKNOWN, Shape, record
from runtara_compiler.language.steps.base import BaseStep


class ConnectionStep(BaseStep):
    """Fetches a connection from the product's connection service, at each run: its secrets are never recorded.

    Attributes:
        connection_id: the connection.
        integration_id: the type of connection that is expected, such as `http_bearer`.
    """

    output_shape: ClassVar[Shape] = record(parameters=UNKNOWN, integration_id=LEAF, connection_subtype=LEAF)

    step_type: Literal["Connection"] = "Connection"
    connection_id: str
    integration_id: str
