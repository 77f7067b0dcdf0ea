"""Template values: text with placeholders over the roots of the scope, `Hello {{ data.name }}`.

Jinja2 in its sandbox, without automatic escaping. Values print as JSON has them: `true`, `false`, `none`, `2.0`, lists
and objects with quoted texts; what is missing prints nothing, and reading a member of what is missing is an error. Only
members of data can be read, never attributes or methods of Python, and work and output of one rendering are bounded.

The engine is loaded by the first template that is rendered.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.mapping import Roots, Value

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Template(Value):
    """The text of a template; its value is always a string."""

    text: str

    def resolve(self, roots: Roots) -> str:
        from runtara_sdk.workflow.template_engine import TemplateProblem, render  # most workflows have no template

        try:
            return render(self.text, roots)
        except TemplateProblem as problem:
            shown = self.text if len(self.text) <= _SHOWN_CHARACTERS else self.text[:_SHOWN_CHARACTERS] + "..."
            raise StepFailedError("TEMPLATE_ERROR", f"template {shown!r}: {problem}") from None

    def as_json(self) -> dict[str, str]:
        return {"valueType": "template", "value": self.text}


def template(text: str) -> Template:
    """Fill the placeholders of `text`."""
    return Template(text)
