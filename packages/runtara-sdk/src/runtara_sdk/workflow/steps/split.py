"""Split: runs its body for each element of an array, one after the other or side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.retry import RetryPolicy
from runtara_sdk.workflow.bodies import pass_roots, pass_variables
from runtara_sdk.workflow.coercion import shown
from runtara_sdk.workflow.failures import StepFailedError, wrapped
from runtara_sdk.workflow.mapping import Value, resolve_mapping
from runtara_sdk.workflow.side_by_side import ItemFailedError, each_item
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.time_limit import TimeLimit, fix_limit
from runtara_sdk.workflow.value_schema import Schema, checked

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import GraphFunction, RunContext


_NONE = object()  # of an element that has no result


@dataclass(frozen=True, slots=True)
class SplitInputs:
    """The elements, and the variables that the step gives to each pass."""

    items: list[Any]
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStep(Step):
    """Runs `body` with each element of `value`, or each batch of them, as its data; the results keep their order.

    The whole result is recorded once all elements are done; the durable steps of the bodies are recorded each for
    itself, so that a run which was interrupted, and a retry, repeat only what is not.

    Attributes:
        value: the array.
        body: the graph of one element.
        parallelism: elements at a time; 0 and 1 are one after the other.
        continue_on_failure: whether the elements after a failed one are still done; its failures are listed then.
        allow_null: whether null counts as an empty array.
        convert_single_value: whether anything else that is no array counts as an array of one.
        batch_size: elements that one pass gets as an array, the last one what is left; 0 gives each pass one element.
        variables: further variables of the body.
        body_variables: defaults of the variables that the body declares.
        item_schema: what each element must fit; its defaults complete the element.
        result_schema: what each result must fit.
        max_retries: further attempts of the whole step.
        retry_delay_ms: wait before the second attempt, milliseconds.
        timeout_ms: bound of the whole step, all attempts included, milliseconds.
    """

    step_type: ClassVar[str] = "Split"
    is_durable: ClassVar[bool] = True
    is_container: ClassVar[bool] = True

    value: Value
    body: GraphFunction
    parallelism: int = 0
    continue_on_failure: bool = False
    allow_null: bool = False
    convert_single_value: bool = False
    batch_size: int = 0
    variables: Mapping[str, Value] = field(default_factory=dict)
    body_variables: Mapping[str, Any] = field(default_factory=dict)
    item_schema: Schema = field(default_factory=Schema)
    result_schema: Schema = field(default_factory=Schema)
    max_retries: int = 0
    retry_delay_ms: int = 1000
    timeout_ms: int | None = None

    def resolve(self, run: RunContext) -> SplitInputs:
        return SplitInputs(self._items(self.value.resolve(run.roots)), resolve_mapping(self.variables, run.roots))

    def _items(self, value: Any) -> list[Any]:
        if isinstance(value, list):
            return value
        if value is None:
            if self.allow_null:
                return []
            raise StepFailedError(
                "SPLIT_VALUE_NOT_ARRAY",
                f"the value of the Split {self.id!r} must be an array, found null: give the reference a default, "
                "set allowNull to treat null as empty, or make it an array before (transform, ensure-array)",
            )
        if self.convert_single_value:
            return [value]
        raise StepFailedError(
            "SPLIT_VALUE_NOT_ARRAY",
            f"the value of the Split {self.id!r} must be an array, found {shown(value)}: set convertSingleValue to "
            "treat it as an array of one, or make it an array before (transform, ensure-array)",
        )

    async def perform(self, run: RunContext, inputs: SplitInputs) -> Outcome:
        key = run.scope.key("split", self.id)

        async def attempt() -> dict[str, Any]:
            if self.timeout_ms is None:
                return await self._attempt(run, inputs, None)
            limit = await fix_limit(
                run.clock, self.calls(run), key, self.timeout_ms, "SPLIT_TIMEOUT", f"the Split {self.id!r}"
            )
            return await limit.apply(run.clock, self._attempt(run, inputs, limit))

        found = await self.calls(run).call(key, attempt, RetryPolicy(self.max_retries, self.retry_delay_ms))
        if not self.continue_on_failure:
            return Outcome(found["results"])
        return Outcome(found["results"], extras=_summary(found["results"], found["errors"]))

    def traced_inputs(self, inputs: SplitInputs) -> Any:
        shown_inputs: dict[str, Any] = {
            "value": inputs.items,
            "parallelism": self.parallelism,
            "sequential": self.parallelism <= 1,
            "dontStopOnFailed": self.continue_on_failure,
            "allowNull": self.allow_null,
            "convertSingleValue": self.convert_single_value,
        }
        given = {"batchSize": self.batch_size, "variables": inputs.variables}
        return shown_inputs | {name: value for name, value in given.items() if value}

    async def _attempt(self, run: RunContext, inputs: SplitInputs, limit: TimeLimit | None) -> dict[str, Any]:
        passes = -(-len(inputs.items) // max(1, self.batch_size))
        results: list[Any] = [_NONE] * passes
        errors: dict[int, dict[str, Any]] = {}

        async def one(index: int) -> None:
            try:
                results[index] = await self._pass(run, inputs, index, limit)
            except StepFailedError as failure:
                if not self.continue_on_failure:
                    raise ItemFailedError(index, failure) from failure
                errors[index] = {"error": failure.details, "index": index}

        try:
            await each_item(run.sdk, passes, max(1, self.parallelism), one)
        except ItemFailedError as item:
            text = f"{self._part(item.index)} of the Split {self.id!r} failed: {item.failure.message}"
            raise wrapped(item.failure, text, index=item.index) from item.failure
        return {
            "results": [result for result in results if result is not _NONE] if errors else results,
            "errors": [errors[index] for index in sorted(errors)],
        }

    async def _pass(self, run: RunContext, inputs: SplitInputs, index: int, limit: TimeLimit | None) -> Any:
        item = self._item(inputs.items, index)
        scope = run.scope.iteration(self.id, index)
        variables = pass_variables(
            run, scope, index, declared=self.body_variables, given=inputs.variables, own={"_item": item}
        )
        variables.pop("_previousOutputs", None)  # that of an enclosing loop
        inner = run.inner(scope, data=item, variables=variables, roots=pass_roots(scope, index, item=item), limit=limit)
        return checked(
            self.result_schema,
            await self.body(inner),
            code="SPLIT_RESULT_INVALID",
            what=f"the result for {self._part(index)} of the Split {self.id!r}",
            root="outputs",
        )

    def _part(self, index: int) -> str:
        return f"{'batch' if self.batch_size else 'element'} {index}"

    def _item(self, items: list[Any], index: int) -> Any:
        """What the pass gets: an element that fits the schema, or an array of them."""
        if not self.batch_size:
            return self._checked(items[index], index)
        first = index * self.batch_size
        return [self._checked(item, first + at) for at, item in enumerate(items[first : first + self.batch_size])]

    def _checked(self, item: Any, index: int) -> Any:
        what = f"element {index} of the Split {self.id!r}"
        return checked(self.item_schema, item, code="SPLIT_ITEM_INVALID", what=what, root="data")


def _summary(results: list[Any], errors: list[dict[str, Any]]) -> dict[str, Any]:
    lists: dict[str, list[Any]] = {"success": results, "error": errors, "aborted": [], "unknown": [], "skipped": []}
    counts = {name: len(items) for name, items in lists.items()}
    total = len(results) + len(errors)
    return {"data": lists, "stats": {**counts, "total": total}, "hasFailures": bool(errors)}
