"""What the page of a capability shows: steps, the files that they find, and what they give."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worked_examples import WorkedStep, shape_of

_FENCED = re.compile(
    r"^(`{3,})(text file=(?P<file>\S+)|json (?P<kind>\w+))\n(?P<text>.*?)^\1$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class ShownExample:
    """A step with its files, and the output that the page shows; `varies` says that it is another one each time."""

    worked: WorkedStep
    output: Any
    varies: bool

    def agrees(self, given: Any, *, varying: frozenset[str] = frozenset()) -> bool:
        """Whether a run gave what is shown; of fields that vary only the type is compared."""
        if self.varies:
            return bool(shape_of(given) == shape_of(self.output))
        return bool(_comparable(given, varying) == _comparable(self.output, varying))


def shown_examples(page: str) -> Iterator[ShownExample]:
    """The worked examples of a page, in order."""
    files: dict[str, str] = {}
    step: dict[str, Any] | None = None
    for found in _FENCED.finditer(page):
        if found["file"]:
            files[found["file"]] = found["text"]
        elif found["kind"] == "step":
            step = json.loads(found["text"])
        else:
            assert step is not None, "an output without a step"
            yield ShownExample(WorkedStep(step, files), json.loads(found["text"]), found["kind"] == "varying")
            files, step = {}, None
    assert step is None, "a step without an output"


def _comparable(value: Any, varying: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: shape_of(item) if name in varying else _comparable(item, varying) for name, item in value.items()}
    return [_comparable(item, varying) for item in value] if isinstance(value, list) else value
