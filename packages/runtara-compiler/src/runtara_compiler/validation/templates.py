"""Rules of templates: their syntax, and what their placeholders read."""

from __future__ import annotations

from collections.abc import Iterator

from runtara_sdk.workflow.template_engine import TemplateProblem, paths_read

from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.paths import format_path
from runtara_compiler.validation.findings import step_finding
from runtara_compiler.validation.reading import PathUse, templates_of
from runtara_compiler.validation.references import ReferenceRules
from runtara_compiler.validation.scope import GraphScope


def check_templates(scope: GraphScope, references: ReferenceRules) -> Iterator[Diagnostic]:
    """E129 and W052, and what the rules of references warn of."""
    for use, roots in templates_of(scope):
        try:
            paths = paths_read(use.text)
        except TemplateProblem as problem:
            where = f" in line {problem.line}" if problem.line is not None else ""
            yield step_finding("E129", use.step_id, f"the template is malformed{where}: {problem}", *use.place)
            continue
        for path in paths:
            read = PathUse(use.step_id, use.place, format_path(path), roots, in_template=True)
            yield from references.check_use(read)
