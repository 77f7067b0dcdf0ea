"""Switch: the first case that matches."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.base import LanguageModel, Sequence
from runtara_compiler.language.mapping import Immediate, MappingValue, NestedValue
from runtara_compiler.language.steps.base import BaseStep

DEFAULT_ROUTE = "default"


class MatchType(StrEnum):
    """How a value is compared with what a case matches."""

    EQ = "EQ"
    NE = "NE"
    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    CONTAINS = "CONTAINS"
    IN = "IN"
    NOT_IN = "NOT_IN"
    IS_DEFINED = "IS_DEFINED"
    IS_EMPTY = "IS_EMPTY"
    IS_NOT_EMPTY = "IS_NOT_EMPTY"
    BETWEEN = "BETWEEN"
    RANGE = "RANGE"


class SwitchCase(LanguageModel):
    """One case.

    Attributes:
        match_type: how the value is compared.
        match: with what; JSON in which objects with `valueType` and `value` are mapping values.
        output: the output of the step; JSON of the same kind.
        route: label of the edge that is taken.
    """

    match_type: Annotated[MatchType, Field(strict=False)]
    match: NestedValue = Immediate(value=None)
    output: NestedValue
    route: str | None = None


class SwitchConfig(LanguageModel):
    """What is compared, the cases in order, and the output when none matches."""

    value: MappingValue
    cases: Sequence[SwitchCase] = ()
    default: NestedValue | None = None


class SwitchStep(BaseStep):
    """The output of the first case that matches; with routes, one of several branches."""

    record_extras: ClassVar[frozenset[str]] = frozenset({"route"})

    step_type: Literal["Switch"] = "Switch"
    config: SwitchConfig

    @property
    def is_routing(self) -> bool:
        """Whether a case has a route, so that the step branches."""
        return any(case.route is not None for case in self.config.cases)

    @property
    def outcomes(self) -> tuple[str, ...]:
        if not self.is_routing:
            return ()
        return tuple(dict.fromkeys([*(case.route or DEFAULT_ROUTE for case in self.config.cases), DEFAULT_ROUTE]))
