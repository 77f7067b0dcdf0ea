"""Which steps a checkpoint id speaks of, and what it is called under another instance.

The ids are made by `runtara_sdk.workflow.scope` for scenarios and by `@durable` for functions:

    SCENARIO::INSTANCE[::CHILDREN][::ENCLOSING/STEPS]::KIND::STEP[::...]        a record of a step
    SCENARIO::INSTANCE[::CHILDREN][::ENCLOSING/STEPS]::agent::AGENT::CAPABILITY::STEP[::...]
    INSTANCE/SCENARIO::INSTANCE[::CHILDREN]/STEP[/POSITIONS]                    a wait for a signal
    durable::MODULE:FUNCTION::ARGUMENT                                          a call of a function

Any other id stands for itself alone.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_KINDS = frozenset(
    {"breakpoint", "connection", "delay", "handled", "on_wait", "run", "split", "start_scenario", "while"}
)
_AGENT = "agent"
_MOST_PIECES = 16
_POSITIONS = re.compile(r"\[[\d,]*\]")


def steps_of(checkpoint_id: str, instance_id: str) -> tuple[str, ...]:
    """The step that recorded it, and the steps around that one; for a function its name, with and without module.

    Args:
        checkpoint_id: of the instance.
        instance_id: the instance.
    """
    if checkpoint_id.startswith("durable::"):
        function = checkpoint_id.split("::")[1]
        return (function, function.rpartition(":")[2])
    own = checkpoint_id.removeprefix(f"{instance_id}/")
    _, found, rest = own.partition(f"::{instance_id}")
    if not found:
        return ()
    if own != checkpoint_id:
        return _plain(_segments(rest.strip(":/")))
    parts = rest.split("::")[1:]
    around: list[str] = []
    for place, kind in enumerate(parts):
        if kind in _KINDS or kind == _AGENT:
            step = parts[place + (3 if kind == _AGENT else 1) :][:1]
            return _plain([*around, *step])
        around += _segments(kind)
    return ()


def belongs_to_time(checkpoint_id: str) -> bool:
    """Whether it records when something ends, or how long it waited for rate limits, and no work."""
    return checkpoint_id.endswith("::deadline") or re.search(r"::rate_limit::\d+\Z", checkpoint_id) is not None


def under_another_instance(checkpoint_id: str, instance_id: str, other_id: str) -> str:
    """The id that the same step has under the instance `other_id`: ids hold that of their instance."""
    if checkpoint_id.startswith(f"{instance_id}/"):
        checkpoint_id = other_id + checkpoint_id[len(instance_id) :]
    own = re.compile(rf"::{re.escape(instance_id)}(?=::|/|__|\Z)")
    return own.sub(lambda _: f"::{other_id}", checkpoint_id, count=1)


def _segments(path: str) -> list[str]:
    """The ids that a path of steps may hold: two underscores join the children of children, or belong to an id."""
    found: list[str] = []
    for segment in _POSITIONS.sub("", path).split("/"):
        pieces = segment.split("__")[:_MOST_PIECES]
        found += ["__".join(pieces[i:j]) for i in range(len(pieces)) for j in range(i + 1, len(pieces) + 1)]
    return found


def _plain(parts: list[str]) -> tuple[str, ...]:
    """Ids as the scenario has them: without the escapes of a key."""
    return tuple(dict.fromkeys(unquote(part) for part in parts if part and _POSITIONS.fullmatch(part) is None))
