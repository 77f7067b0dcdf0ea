"""The agent `utils`: small functions."""

from __future__ import annotations

import random
import secrets
import string
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext, Example, KnownError, capability
from runtara_sdk.written_decimal import read_decimal

from runtara_agents_transform.dates.patterns import PatternError, formatted
from runtara_agents_transform.dates.reading import DATE_ERROR, read_date
from runtara_agents_transform.small_functions.calculation import (
    DIVISION_BY_ZERO,
    EXPRESSION_ERROR,
    UNKNOWN_VARIABLE,
    calculate,
)

__all__ = ["utils_agent"]

COUNTRY_UNKNOWN = "UTILS_COUNTRY_UNKNOWN"
FORMAT_INVALID = "UTILS_FORMAT_INVALID"

_LONGEST_DELAY_MS = 24 * 3600 * 1000


class Nothing(BaseModel):
    """No inputs."""


@capability(
    id="random-double",
    display_name="Random Double",
    description="Gives a random number from 0 up to, but not including, 1.",
    deterministic=False,
    runs_inline=True,
    examples=[Example({})],
)
def random_double(inputs: Nothing) -> float:
    """The number."""
    return random.random()  # noqa: S311 - not for secrets; random-string is


class RandomArrayInput(BaseModel):
    """How many."""

    size: int = Field(ge=0, le=1_000_000, description="How many numbers, and the largest that may come.")


@capability(
    id="random-array",
    display_name="Random Array",
    description="Gives as many random integers from 0 to their number.",
    deterministic=False,
    examples=[Example({"size": 3})],
)
def random_array(inputs: RandomArrayInput) -> list[int]:
    """The numbers."""
    return [random.randint(0, inputs.size) for _ in range(inputs.size)]  # noqa: S311 - not for secrets


class RandomStringInput(BaseModel):
    """How long, and of what."""

    length: int = Field(default=16, ge=1, le=10_000, description="Characters.")
    alphabet: Literal["alphanumeric", "letters", "digits", "hex"] = Field(
        default="alphanumeric", description="What it is made of."
    )


@capability(
    id="random-string",
    display_name="Random String",
    description="Gives a random text that nobody can guess.",
    deterministic=False,
    runs_inline=True,
    examples=[Example({"length": 8, "alphabet": "hex"})],
)
def random_string(inputs: RandomStringInput) -> str:
    """The text."""
    letters = {
        "alphanumeric": string.ascii_letters + string.digits,
        "letters": string.ascii_letters,
        "digits": string.digits,
        "hex": "0123456789abcdef",
    }[inputs.alphabet]
    return "".join(secrets.choice(letters) for _ in range(inputs.length))


class ValueInput(BaseModel):
    """Any value."""

    value: Any = Field(default=None, title="Value", description="What comes out again.", examples=[{"a": 1}])


@capability(
    id="return-input",
    aliases=("passthrough",),
    display_name="Return Input",
    description="Gives its input.",
    runs_inline=True,
    examples=[Example({"value": {"a": 1}}, output={"a": 1})],
)
def return_input(inputs: ValueInput) -> Any:
    """The same value."""
    return inputs.value


class StringInput(BaseModel):
    """A text."""

    value: str | None = Field(default=None, title="Value", description="What comes out again.", examples=["a"])


@capability(
    id="return-input-string",
    display_name="Return Input String",
    description="Gives its input, a text.",
    runs_inline=True,
    examples=[Example({"value": "a"}, output="a")],
)
def return_input_string(inputs: StringInput) -> str | None:
    """The same text."""
    return inputs.value


@capability(
    id="do-nothing",
    display_name="Do Nothing",
    description="Does nothing, and gives null.",
    runs_inline=True,
    examples=[Example({}, output=None)],
)
def do_nothing(inputs: Nothing) -> None:
    """Null."""


class DelayInput(BaseModel):
    """How long."""

    delay_value: int = Field(
        ge=0,
        le=_LONGEST_DELAY_MS,
        title="Delay",
        description="Milliseconds; a day at most. A Delay step waits durably.",
    )


@capability(
    id="delay-in-ms",
    display_name="Delay",
    description="Waits; where the step is recorded the wait outlives the process.",
    deterministic=False,
    examples=[Example({"delay_value": 1})],
)
async def delay_in_ms(inputs: DelayInput, context: CapabilityContext) -> int:
    """The milliseconds."""
    await context.durable.sleep("delay", inputs.delay_value)
    return inputs.delay_value


class CalculateInput(BaseModel):
    """What is calculated."""

    expression: str = Field(
        title="Expression", description="Numbers, names, + - * / % and parentheses.", examples=["price * 1.19"]
    )
    variables: dict[str, Any] = Field(
        default_factory=dict, title="Variables", description="Numbers by name; texts that are numbers, too."
    )
    enable_rounding: bool = Field(default=False, description="Whether the result is rounded, halves away from zero.")
    decimal_places: int = Field(default=2, ge=0, le=15, description="Digits behind the point of a rounded result.")


@capability(
    id="calculate",
    display_name="Calculate",
    description="Calculates with decimal numbers of 34 digits: 0.1 + 0.2 is 0.3.",
    known_errors=(
        KnownError.permanent(EXPRESSION_ERROR, "The expression is malformed, or a value too large.", "position"),
        KnownError.permanent(DIVISION_BY_ZERO, "It divides by zero."),
        KnownError.permanent(UNKNOWN_VARIABLE, "A variable is not given, or no number.", "variable"),
    ),
    examples=[Example({"expression": "(price + 0.2) * n", "variables": {"price": "0.1", "n": 10}}, output=3)],
)
def calculate_expression(inputs: CalculateInput) -> int | float:
    """The number; an integer where it is one."""
    value = calculate(inputs.expression, inputs.variables)
    if inputs.enable_rounding and value.adjusted() < 15:
        value = value.quantize(Decimal(1).scaleb(-inputs.decimal_places), ROUND_HALF_UP)
    if value == value.to_integral_value() and value.adjusted() < 30:
        return int(value)
    try:
        return read_decimal(format(value.normalize(), "f") if abs(value.adjusted()) < 30 else str(value))
    except ValueError:
        raise AgentError.permanent(
            EXPRESSION_ERROR, "the result is larger than a number can be", attributes={"position": 1}
        ) from None


class FormatIsoInput(BaseModel):
    """A date, and its form."""

    iso_date: str = Field(title="ISO date", description="As in ISO 8601.", examples=["2026-11-27T09:30:00Z"])
    target_format: str = Field(
        title="Format", description="Of yyyy yy MM dd HH mm ss, and whatever stands between.", examples=["dd.MM.yyyy"]
    )


_DATE = KnownError.permanent(DATE_ERROR, "It is no date.", "input")
_FORMAT = KnownError.permanent(FORMAT_INVALID, "The format is malformed.", "format")


@capability(
    id="format-date-from-iso",
    display_name="Format Date from ISO",
    description="Writes an ISO date in another form.",
    known_errors=(_DATE, _FORMAT),
    examples=[
        Example({"iso_date": "2026-11-27T09:30:00Z", "target_format": "dd.MM.yyyy HH:mm"}, output="27.11.2026 09:30")
    ],
)
def format_date_from_iso(inputs: FormatIsoInput) -> str:
    """The text."""
    return _formatted(read_date(inputs.iso_date, "iso_date"), inputs.target_format)


class IsoInput(BaseModel):
    """A date."""

    iso_date: str = Field(title="ISO date", description="As in ISO 8601; UTC where no zone is given.")


@capability(
    id="iso-to-unix-timestamp",
    display_name="ISO to Unix Timestamp",
    description="Gives the seconds since 1970 of an ISO date.",
    known_errors=(_DATE,),
    examples=[Example({"iso_date": "1970-01-02T00:00:00Z"}, output=86400)],
)
def iso_to_unix_timestamp(inputs: IsoInput) -> int:
    """Seconds."""
    return int(read_date(inputs.iso_date, "iso_date").timestamp() // 1)


@capability(
    id="get-current-unix-timestamp",
    display_name="Current Unix Timestamp",
    description="Gives the seconds since 1970.",
    deterministic=False,
    runs_inline=True,
    examples=[Example({})],
)
def get_current_unix_timestamp(inputs: Nothing, context: CapabilityContext) -> int:
    """Seconds."""
    return context.clock.now_ms() // 1000


@capability(
    id="get-current-iso-datetime",
    display_name="Current ISO Datetime",
    description="Gives the time as in ISO 8601, in UTC.",
    deterministic=False,
    runs_inline=True,
    examples=[Example({})],
)
def get_current_iso_datetime(inputs: Nothing, context: CapabilityContext) -> str:
    """The time."""
    return _now(context).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class CurrentFormattedInput(BaseModel):
    """In which form."""

    format: str = Field(default="yyyy-MM-dd HH:mm:ss", description="Of yyyy yy MM dd HH mm ss.")


@capability(
    id="get-current-formatted-datetime",
    display_name="Current Formatted Datetime",
    description="Gives the time, in UTC, in a form of its own.",
    deterministic=False,
    known_errors=(_FORMAT,),
    examples=[Example({"format": "yyyy"})],
)
def get_current_formatted_datetime(inputs: CurrentFormattedInput, context: CapabilityContext) -> str:
    """The text."""
    return _formatted(_now(context), inputs.format)


class CountryInput(BaseModel):
    """A country."""

    country_name: str = Field(title="Country", description="Its name.", examples=["Germany"])
    code_type: Literal["alpha2", "alpha3"] = Field(default="alpha2", description="Two letters, or three.")


@capability(
    id="country-name-to-iso-code",
    display_name="Country Name to ISO Code",
    description="Gives the ISO 3166 code of a country; small mistakes in its name are forgiven.",
    known_errors=(KnownError.permanent(COUNTRY_UNKNOWN, "No country has a name like that.", "country_name"),),
    examples=[Example({"country_name": "Switzerlnd"}, output="CH")],
)
def country_name_to_iso_code(inputs: CountryInput) -> str:
    """The code."""
    from runtara_agents_transform.small_functions.countries import country_codes  # few workflows need the table

    codes = country_codes(inputs.country_name)
    if codes is None:
        name = inputs.country_name[:100].encode(errors="replace").decode()
        raise AgentError.permanent(COUNTRY_UNKNOWN, f"no country is called {name!r}", attributes={"country_name": name})
    return codes[inputs.code_type == "alpha3"]


def _now(context: CapabilityContext) -> datetime:
    return datetime.fromtimestamp(context.clock.now_ms() / 1000, UTC)


def _formatted(moment: datetime, pattern: str) -> str:
    try:
        return formatted(moment, pattern)
    except PatternError as error:
        raise AgentError.permanent(FORMAT_INVALID, f"format: {error}", attributes={"format": pattern[:100]}) from None


utils_agent = AgentDefinition(
    id="utils",
    name="Utils",
    description="Small functions: numbers, times, countries.",
    category="data",
    capabilities=[
        random_double,
        random_array,
        random_string,
        return_input,
        return_input_string,
        do_nothing,
        delay_in_ms,
        calculate_expression,
        format_date_from_iso,
        iso_to_unix_timestamp,
        get_current_unix_timestamp,
        get_current_iso_datetime,
        get_current_formatted_datetime,
        country_name_to_iso_code,
    ],
)
