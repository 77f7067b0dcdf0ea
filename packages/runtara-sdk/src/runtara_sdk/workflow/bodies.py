"""What the bodies of Split and While have in common: variables and roots of one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtara_sdk.workflow.scope import Scope

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


def pass_variables(
    run: RunContext,
    scope: Scope,
    index: int,
    *,
    declared: Mapping[str, Any],
    given: Mapping[str, Any],
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """The variables of one pass.

    Those of the enclosing graph, then the ones that the body declares, then those that the step gives, then what the
    pass itself adds; a later one hides an earlier one of the same name.
    """
    return {
        **run.variables,
        **declared,
        **given,
        "_index": index,
        "_loop_indices": list(scope.loop_indices),
        "_scope_id": scope.scope_id,
        "_parent_scope_id": scope.parent_scope_id,
        **own,
    }


def pass_roots(scope: Scope, index: int, **roots: Any) -> dict[str, Any]:
    """The roots `iteration` and those that the kind of loop adds."""
    return {**roots, "iteration": {"index": index, "indices": list(scope.loop_indices), "item": roots.get("item")}}
