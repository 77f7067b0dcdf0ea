"""Split: a body for each element of an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.base import Count, LanguageModel, Milliseconds
from runtara_compiler.language.mapping import InputMapping, MappingValue
from runtara_compiler.language.schema import SchemaMap
from runtara_compiler.language.steps.base import DEFAULT_RETRY_DELAY_MS, BaseStep

if TYPE_CHECKING:
    from runtara_compiler.language.scenario import ExecutionGraph


class SplitConfig(LanguageModel):
    """The array and how its elements are done.

    Attributes:
        value: the array.
        parallelism: elements at a time; 0 and 1 are one after the other.
        sequential: one after the other, whatever `parallelism` says.
        dont_stop_on_failed: do the elements after a failed one, too, and list the failures.
        variables: further variables of the body.
        max_retries: further attempts of the whole step.
        retry_delay_ms: wait before the second attempt; it doubles with each further one.
        timeout_ms: bound of the whole step.
        allow_null: null counts as an empty array.
        convert_single_value: anything else that is no array counts as an array of one.
        batch_size: elements that one run of the body gets as an array; 0 gives it one element as such.
    """

    value: MappingValue
    parallelism: Count = 0
    sequential: bool = False
    dont_stop_on_failed: bool = False
    variables: InputMapping = Field(default_factory=dict)
    max_retries: Count = 0
    retry_delay_ms: Milliseconds = Field(DEFAULT_RETRY_DELAY_MS, alias="retryDelay")
    timeout_ms: Milliseconds | None = Field(None, alias="timeout")
    allow_null: bool = False
    convert_single_value: bool = False
    batch_size: Count = 0

    @property
    def is_parallel(self) -> bool:
        """Whether elements are done side by side."""
        return self.parallelism > 1 and not self.sequential


class SplitStep(BaseStep):
    """Runs its subgraph with each element, or each batch of elements, as `data`.

    Attributes:
        input_schema: what each element must fit.
        output_schema: what each result must fit.
    """

    record_extras: ClassVar[frozenset[str]] = frozenset({"data", "stats", "hasFailures"})

    step_type: Literal["Split"] = "Split"
    config: SplitConfig
    subgraph: ExecutionGraph
    input_schema: SchemaMap = Field(default_factory=dict)
    output_schema: SchemaMap = Field(default_factory=dict)
