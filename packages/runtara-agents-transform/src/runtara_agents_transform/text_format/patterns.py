"""Texts by regular expressions, whose time grows with the text alone."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability

from runtara_agents_transform.text_format.inputs import (
    REGEX_ERRORS,
    TOO_LARGE_ERROR,
    TextInput,
    checked_length,
    pattern_of,
    required,
)

GROUP_MISSING = "TEXT_GROUP_MISSING"

_GROUP = re.compile(r"\$(?:\{([A-Za-z_]\w*|\d{1,3})\}|([A-Za-z_]\w*|\d{1,3})|(\$))")
_EMAIL = r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?)+"
_URL = r"(?:https?|ftp)://[^\s<>\"'`{}|\\^\[\]]+"
_CLOSING = ".,;:!?)'\""


class PatternInput(TextInput):
    """A text and a pattern."""

    pattern: str | None = Field(
        default=None, description="Regular expression, without look-arounds and back-references.", examples=[r"\d+"]
    )
    case_insensitive: bool = Field(default=False, description="Whether case does not count.")


class ReplaceInput(PatternInput):
    """What takes the place of what is found."""

    replacement: str = Field(default="", description="Text; `$1` and `${name}` stand for groups, `$$` for a dollar.")
    global_: bool = Field(default=True, alias="global", description="Whether all occurrences are replaced.")


@capability(
    id="regex-replace",
    display_name="Regex Replace",
    description="Replaces what a regular expression finds.",
    known_errors=(
        *REGEX_ERRORS,
        TOO_LARGE_ERROR,
        KnownError.permanent(GROUP_MISSING, "The replacement names a group that the pattern does not have.", "group"),
    ),
    examples=[
        Example({"text": "a1 b2", "pattern": r"([a-z])(\d)", "replacement": "$2$1"}, output="1a 2b"),
    ],
)
def regex_replace(inputs: ReplaceInput) -> str:
    """The text."""
    pattern = pattern_of(inputs.pattern, case_insensitive=inputs.case_insensitive)
    parts: list[str] = []
    length = begin = 0
    for found in pattern.finditer(inputs.given):
        piece = inputs.given[begin : found.start()] + _filled(inputs.replacement, found)
        parts.append(piece)
        length += len(piece)
        checked_length(length)
        begin = found.end()
        if not inputs.global_:
            break
    return "".join([*parts, inputs.given[begin:]])


def _filled(replacement: str, found: Any) -> str:
    def group(match: re.Match[str]) -> str:
        if match[3]:
            return "$"
        name = match[1] or match[2]
        try:
            return found.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError):
            raise AgentError.permanent(
                GROUP_MISSING, f"the pattern has no group {name!r}", attributes={"group": name}
            ) from None

    return _GROUP.sub(group, replacement)


class MatchInput(PatternInput):
    """What of a match is wanted."""

    capture_group: int = Field(default=0, ge=0, le=1000, description="0: all of the match.")
    all_matches: bool = Field(default=False, description="Whether all of them are given, not only the first.")


@capability(
    id="regex-match",
    display_name="Regex Match",
    description="Gives what a regular expression finds: the first match or null, or all of them.",
    known_errors=(*REGEX_ERRORS, KnownError.permanent(GROUP_MISSING, "The pattern has no such group.", "group")),
    examples=[Example({"text": "a1 b22", "pattern": r"[a-z](\d+)", "capture_group": 1}, output="1")],
)
def regex_match(inputs: MatchInput) -> str | list[str] | None:
    """The match."""
    pattern = pattern_of(inputs.pattern, case_insensitive=inputs.case_insensitive)
    if inputs.capture_group > pattern.groups:
        raise AgentError.permanent(
            GROUP_MISSING,
            f"the pattern has no group {inputs.capture_group}",
            attributes={"group": inputs.capture_group},
        )
    found = (match.group(inputs.capture_group) for match in pattern.finditer(inputs.given))
    if inputs.all_matches:
        return [text for text in found if text is not None]
    return next(found, None)


@capability(
    id="regex-test",
    display_name="Regex Test",
    description="Tells whether a regular expression finds anything; nothing in the empty text.",
    known_errors=REGEX_ERRORS,
    examples=[Example({"text": "a1", "pattern": r"\d"}, output=True)],
)
def regex_test(inputs: PatternInput) -> bool:
    """Whether it does."""
    pattern = pattern_of(inputs.pattern, case_insensitive=inputs.case_insensitive)
    return bool(inputs.given) and pattern.search(inputs.given) is not None


class RegexSplitInput(TextInput):
    """Where it is split."""

    pattern: str | None = Field(default=None, description="Regular expression.", examples=[r"\s*;\s*"])
    limit: int = Field(default=0, ge=0, description="At most so many pieces; 0 for all.")


@capability(
    id="regex-split",
    display_name="Regex Split",
    description="Splits a text where a regular expression fits.",
    known_errors=REGEX_ERRORS,
    examples=[Example({"text": "a ; b;c", "pattern": r"\s*;\s*", "limit": 2}, output=["a", "b;c"])],
)
def regex_split(inputs: RegexSplitInput) -> list[str]:
    """The pieces."""
    pieces: list[str] = []
    begin = 0
    for found in pattern_of(inputs.pattern).finditer(inputs.given):
        if inputs.limit and len(pieces) + 1 >= inputs.limit:
            break
        if found.end() == found.start() and found.start() in (0, len(inputs.given)):
            continue  # nothing stands before the first and behind the last character
        pieces.append(inputs.given[begin : found.start()])
        begin = found.end()
    return [*pieces, inputs.given[begin:]]


class NumbersInput(TextInput):
    """Which numbers."""

    include_decimals: bool = Field(default=True, description="Whether a point and digits behind it belong to a number.")
    include_negative: bool = Field(default=False, description="Whether a minus before it belongs to a number.")


@capability(
    id="extract-numbers",
    display_name="Extract Numbers",
    description="Gives the numbers in a text.",
    examples=[Example({"text": "2 of 3.5, not -1", "include_negative": True}, output=[2, 3.5, -1])],
)
def extract_numbers(inputs: NumbersInput) -> list[int | float]:
    """The numbers."""
    sign = "-?" if inputs.include_negative else ""
    pattern = re.compile(sign + (r"[0-9]{1,300}(?:\.[0-9]{1,300})?" if inputs.include_decimals else "[0-9]{1,300}"))
    return [float(text) if "." in text else int(text) for text in pattern.findall(inputs.given)]


@capability(
    id="extract-emails",
    display_name="Extract Emails",
    description="Gives the e-mail addresses in a text.",
    examples=[Example({"text": "Write to ada@example.com."}, output=["ada@example.com"])],
)
def extract_emails(inputs: TextInput) -> list[str]:
    """The addresses."""
    return [found.group(0) for found in pattern_of(_EMAIL).finditer(inputs.given)]


@capability(
    id="extract-urls",
    display_name="Extract URLs",
    description="Gives the http, https and ftp addresses in a text.",
    examples=[Example({"text": "See https://example.com/a?b=1."}, output=["https://example.com/a?b=1"])],
)
def extract_urls(inputs: TextInput) -> list[str]:
    """The addresses, without the punctuation of the sentence."""
    return [found.group(0).rstrip(_CLOSING) for found in pattern_of(_URL).finditer(inputs.given)]


class CountInput(PatternInput):
    """What is counted."""

    use_regex: bool = Field(default=False, description="Whether the pattern is a regular expression.")


@capability(
    id="count-occurrences",
    display_name="Count Occurrences",
    description="Counts how often something stands in a text, without overlaps.",
    known_errors=REGEX_ERRORS,
    examples=[Example({"text": "aXbx", "pattern": "x", "case_insensitive": True}, output=2)],
)
def count_occurrences(inputs: CountInput) -> int:
    """How often."""
    if inputs.use_regex:
        pattern = pattern_of(inputs.pattern, case_insensitive=inputs.case_insensitive)
        return sum(1 for _ in pattern.finditer(inputs.given))
    wanted = required("pattern", inputs.pattern)
    if not wanted:
        return 0
    if inputs.case_insensitive:
        return inputs.given.casefold().count(wanted.casefold())
    return inputs.given.count(wanted)
