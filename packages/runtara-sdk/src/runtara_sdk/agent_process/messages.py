"""What passes between a daemon and the program that lists and calls agents.

A program that lists answers on standard output, with lines of JSON, the last of which is the answer itself. Its
standard input stays open: the end of that means that the daemon is gone.

A program that calls is launched by a runner, which knows of no such pipes. It is given two paths: of a named pipe with
its order, which stays open in the same way, and of the file that it makes for its answer. So no secret of an order is
ever in a file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

PROGRAM = "runtara_sdk.agent_process.program"
"""The module to run with `python -P -m`."""

LIST = "list"
CALL = "call"
"""The commands; the second one has two arguments, the paths of the order and of the answer."""

LOADING = "loading"
"""Key of a line with the plugin that is about to be loaded, `{distribution, name}`, or null once that is over: a
process that ends in between was ended by it."""

AGENT_GROUP = "runtara.agents"

AGENT_UNAVAILABLE = "AGENT_UNAVAILABLE"
"""The agent was listed, and now its module cannot be imported."""

RESULT_TOO_LARGE = "RESULT_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class CallOrder:
    """One call of a capability.

    Attributes:
        module: where the definition of the agent is.
        attribute: its name there.
        capability_id: id or alias.
        deadline_ms: when the call must be over, in milliseconds since the Unix epoch.
        max_result_bytes: bound of the result as JSON.
        inputs: JSON object, as bytes.
        connection: JSON object of a connection with its secrets, as bytes; None without one.
    """

    module: str
    attribute: str
    capability_id: str
    deadline_ms: int
    max_result_bytes: int
    inputs: bytes
    connection: bytes | None = None

    def encode(self) -> bytes:
        """A line of JSON that tells the sizes, and the bytes as they came: decimals keep their text."""
        head = asdict(self)
        head["inputs"] = len(self.inputs)
        head["connection"] = None if self.connection is None else len(self.connection)
        return json.dumps(head).encode() + b"\n" + self.inputs + (self.connection or b"")

    @classmethod
    def read(cls, stream: BinaryIO) -> CallOrder:
        """Read an order, and not a byte more; raises `EOFError` when it ends too early."""
        head: dict[str, Any] = json.loads(stream.readline() or b"null") or {}
        if not head:
            raise EOFError("there is no order on standard input")
        head["inputs"] = _exactly(stream, head["inputs"])
        if head["connection"] is not None:
            head["connection"] = _exactly(stream, head["connection"])
        return cls(**head)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise EOFError("the order on standard input ends too early")
    return content
