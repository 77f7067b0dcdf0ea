"""Texts without regular expressions: trimming, cases, splitting, padding, wrapping, comparing."""

from __future__ import annotations

import hashlib
import textwrap
import unicodedata
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability

from runtara_agents_transform.text_format.inputs import (
    MISSING,
    TOO_LARGE_ERROR,
    TextInput,
    checked_length,
    required,
)

TEMPLATE_MISSING = "TEXT_TEMPLATE_MISSING"
PARSE_ERROR = "TEXT_TEMPLATE_PARSE_ERROR"
RENDER_ERROR = "TEXT_TEMPLATE_RENDER_ERROR"

_LONGEST_COMPARED = 5_000


class TemplateInput(TextInput):
    """A template, and what it reads."""

    context: dict[str, Any] = Field(default_factory=dict, title="Context", description="Values by name.")


@capability(
    id="render-template",
    aliases=("format",),
    display_name="Render Template",
    description="Fills the placeholders of a template: Hello {{ name }}.",
    known_errors=(
        KnownError.permanent(TEMPLATE_MISSING, "There is no template."),
        KnownError.permanent(PARSE_ERROR, "The template is malformed.", "line"),
        KnownError.permanent(RENDER_ERROR, "The template cannot be rendered.", "line"),
    ),
    examples=[Example({"text": "Hello {{ name }}", "context": {"name": "Ada"}}, output="Hello Ada")],
)
def render_template(inputs: TemplateInput) -> str:
    """The text; what is undefined prints nothing."""
    from jinja2 import TemplateSyntaxError  # most workflows have no template
    from runtara_sdk.workflow.template_engine import TemplateProblem, render

    if not inputs.text:
        raise AgentError.permanent(TEMPLATE_MISSING, "text is missing: the template")
    try:
        return render(inputs.text, inputs.context)
    except TemplateProblem as problem:
        is_syntax = isinstance(problem.__cause__, TemplateSyntaxError) or isinstance(
            problem.__context__, TemplateSyntaxError
        )
        code = PARSE_ERROR if is_syntax else RENDER_ERROR
        raise AgentError.permanent(code, str(problem), attributes={"line": problem.line}) from None


@capability(
    id="trim-normalize",
    display_name="Trim and Normalize",
    description="Makes every run of white space one blank, and removes it at the ends.",
    runs_inline=True,
    examples=[Example({"text": "  a \n b "}, output="a b")],
)
def trim_normalize(inputs: TextInput) -> str:
    """The text."""
    return " ".join(inputs.given.split())


class CaseInput(TextInput):
    """Which case."""

    format: Literal["lowercase", "uppercase", "title-case"] = Field(default="lowercase", description="The case.")


@capability(
    id="case-conversion",
    display_name="Convert Case",
    description="Makes letters lower case, upper case, or words begin with a capital.",
    examples=[Example({"text": "hello  wOrld", "format": "title-case"}, output="Hello World")],
)
def case_conversion(inputs: CaseInput) -> str:
    """The text."""
    if inputs.format == "lowercase":
        return inputs.given.lower()
    if inputs.format == "uppercase":
        return inputs.given.upper()
    return " ".join(word[:1].upper() + word[1:].lower() for word in inputs.given.split())


class ReplaceInput(TextInput):
    """What is replaced by what."""

    pattern: str | None = Field(default=None, description="Taken literally.", examples=["world"])
    replacement: str | None = Field(default=None, description="What takes its place.", examples=["Ada"])


@capability(
    id="find-replace",
    aliases=("replace",),
    display_name="Find and Replace",
    description="Replaces all occurrences of a text by another.",
    known_errors=(TOO_LARGE_ERROR,),
    examples=[Example({"text": "Hello world", "pattern": "world", "replacement": "Ada"}, output="Hello Ada")],
)
def find_replace(inputs: ReplaceInput) -> str:
    """The text; unchanged where pattern or replacement are missing."""
    if not inputs.pattern or inputs.replacement is None:
        return inputs.given
    checked_length(len(inputs.given) + inputs.given.count(inputs.pattern) * len(inputs.replacement))
    return inputs.given.replace(inputs.pattern, inputs.replacement)


@capability(
    id="extract-first-line",
    display_name="First Line",
    description="Gives the first line of a text.",
    runs_inline=True,
    examples=[Example({"text": "a\nb"}, output="a")],
)
def extract_first_line(inputs: TextInput) -> str:
    """The line, without its end."""
    return (inputs.given.splitlines() or [""])[0]


@capability(
    id="extract-first-word",
    display_name="First Word",
    description="Gives the first word of a text.",
    runs_inline=True,
    examples=[Example({"text": " hello world"}, output="hello")],
)
def extract_first_word(inputs: TextInput) -> str:
    """The word."""
    return (inputs.given.split(maxsplit=1) or [""])[0]


class SplitInput(TextInput):
    """Where it is split."""

    delimiter: str = Field(default=",", min_length=1, description="What stands between the pieces.")
    join_delimiter: str | None = Field(default=None, description="Not used; kept for scenarios that give it.")


@capability(
    id="split",
    display_name="Split",
    description="Splits a text; the pieces are as they stand.",
    examples=[Example({"text": "a, b"}, output=["a", " b"])],
)
def split(inputs: SplitInput) -> list[str]:
    """The pieces; none for the empty text."""
    return inputs.given.split(inputs.delimiter) if inputs.given else []


class SplitJoinInput(TextInput):
    """Where it is split, and how it is put together."""

    delimiter: str = Field(default=",", min_length=1, description="What stands between the pieces.")
    join_delimiter: str = Field(default=" ", description="What stands between them afterwards.")


@capability(
    id="split-join",
    display_name="Split and Join",
    description="Splits a text, trims the pieces and puts them together in another way.",
    known_errors=(TOO_LARGE_ERROR,),
    examples=[Example({"text": "a , b", "join_delimiter": "-"}, output="a-b")],
)
def split_join(inputs: SplitJoinInput) -> str:
    """The text."""
    pieces = [piece.strip() for piece in inputs.given.split(inputs.delimiter)]
    checked_length(len(inputs.given) + len(pieces) * len(inputs.join_delimiter))
    return inputs.join_delimiter.join(pieces)


class JoinInput(BaseModel):
    """What is put together."""

    values: list[str | int | float | bool | None] = Field(description="Texts; null is left out.", examples=[["a", "b"]])
    delimiter: str = Field(default=",", description="What stands between them.")


@capability(
    id="join",
    display_name="Join",
    description="Puts texts together.",
    known_errors=(TOO_LARGE_ERROR,),
    examples=[Example({"values": ["a", 1, None, True], "delimiter": "-"}, output="a-1-true")],
)
def join(inputs: JoinInput) -> str:
    """The text."""
    pieces = [
        ("true" if value else "false") if isinstance(value, bool) else str(value)
        for value in inputs.values
        if value is not None
    ]
    checked_length(sum(map(len, pieces)) + len(pieces) * len(inputs.delimiter))
    return inputs.delimiter.join(pieces)


class LinesInput(TextInput):
    """Which way."""

    delimiter: str | None = Field(default=None, description="Pieces between it become lines; lines one line without.")


@capability(
    id="collapse-expand-lines",
    display_name="Collapse or Expand Lines",
    description="Makes one line of many, or lines of what stands between a delimiter.",
    examples=[
        Example({"text": "a\n b\n"}, output="a b"),
        Example({"text": "a;b", "delimiter": ";"}, output="a\nb"),
    ],
)
def collapse_expand_lines(inputs: LinesInput) -> str:
    """The text."""
    if inputs.delimiter:
        return "\n".join(piece.strip() for piece in inputs.given.split(inputs.delimiter))
    return " ".join(line.strip() for line in inputs.given.splitlines() if line.strip())


class CharactersInput(TextInput):
    """Which characters."""

    pattern: str | None = Field(default=None, description="Each of its characters is removed.", examples=["-()"])


@capability(
    id="remove-characters",
    display_name="Remove Characters",
    description="Removes every occurrence of some characters.",
    runs_inline=True,
    examples=[Example({"text": "(030) 12-34", "pattern": "-() "}, output="0301234")],
)
def remove_characters(inputs: CharactersInput) -> str:
    """The text."""
    return inputs.given.translate(dict.fromkeys(map(ord, inputs.pattern or "")))


class SubstringInput(TextInput):
    """Between what."""

    start_delimiter: str | None = Field(default=None, description="What stands before it.", examples=["<"])
    end_delimiter: str | None = Field(default=None, description="What stands behind it.", examples=[">"])


@capability(
    id="substring-extraction",
    display_name="Extract Substring",
    description="Gives what stands between the first pair of delimiters.",
    runs_inline=True,
    examples=[Example({"text": "a <b> c", "start_delimiter": "<", "end_delimiter": ">"}, output="b")],
)
def substring_extraction(inputs: SubstringInput) -> str:
    """The part; empty where a delimiter is absent, all of it where one is not given."""
    if not inputs.start_delimiter or not inputs.end_delimiter:
        return inputs.given
    _, found, rest = inputs.given.partition(inputs.start_delimiter)
    part, ended, _ = rest.partition(inputs.end_delimiter)
    return part if found and ended else ""


@capability(
    id="slugify",
    display_name="Slugify",
    description="Makes a name for URLs: lower-case ASCII letters, digits and hyphens.",
    examples=[Example({"text": "Café Zürich, 2026!"}, output="cafe-zurich-2026")],
)
def slugify(inputs: TextInput) -> str:
    """The name."""
    text = inputs.given.replace("ß", "ss").replace("æ", "ae").replace("ø", "o").replace("Ø", "O").replace("Æ", "AE")
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(each if each.isalnum() else " " for each in plain).split())


@capability(
    id="hash-text",
    display_name="Hash Text",
    description="Gives the SHA-256 of a text, hexadecimal; of the empty text the empty text.",
    runs_inline=True,
    examples=[Example({"text": "abc"}, output="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")],
)
def hash_text(inputs: TextInput) -> str:
    """The digest."""
    return hashlib.sha256(inputs.given.encode("utf-8", "surrogatepass")).hexdigest() if inputs.given else ""


class PadInput(TextInput):
    """How long, and with what."""

    length: int = Field(ge=0, le=1_000_000, description="Characters of the result, at least.")
    pad_char: str = Field(default=" ", min_length=1, max_length=1, description="What fills it.")
    direction: Literal["right", "left", "both"] = Field(default="right", description="Where it is filled.")


@capability(
    id="pad-text",
    display_name="Pad Text",
    description="Fills a text up to a length, in characters.",
    runs_inline=True,
    examples=[Example({"text": "é7", "length": 4, "pad_char": "0", "direction": "left"}, output="00é7")],
)
def pad_text(inputs: PadInput) -> str:
    """The text."""
    missing = max(0, inputs.length - len(inputs.given))
    left = {"right": 0, "left": missing, "both": missing // 2}[inputs.direction]
    return inputs.pad_char * left + inputs.given + inputs.pad_char * (missing - left)


class TruncateInput(TextInput):
    """How long."""

    max_length: int = Field(ge=0, description="Characters of the result at most, the suffix among them.")
    suffix: str = Field(default="", description="What tells that something was cut off.", examples=["..."])
    word_boundary: bool = Field(default=False, description="Whether it is cut between words.")


@capability(
    id="truncate-text",
    display_name="Truncate Text",
    description="Cuts a text off at a length, in characters.",
    runs_inline=True,
    examples=[
        Example(
            {"text": "one two three", "max_length": 10, "suffix": "...", "word_boundary": True}, output="one two..."
        )
    ],
)
def truncate_text(inputs: TruncateInput) -> str:
    """The text."""
    text, suffix = inputs.given, inputs.suffix[: inputs.max_length]
    if len(text) <= inputs.max_length:
        return text
    kept = text[: inputs.max_length - len(suffix)]
    if inputs.word_boundary and not text[len(kept) : len(kept) + 1].isspace():
        head, _, _ = kept.rpartition(" ")
        kept = head or kept
    return kept.rstrip() + suffix if inputs.word_boundary else kept + suffix


class WrapInput(TextInput):
    """How wide."""

    width: int = Field(default=80, ge=1, le=100_000, description="Characters of a line at most.")
    preserve_newlines: bool = Field(default=True, description="Whether the lines that are there stay lines.")


@capability(
    id="wrap-text",
    display_name="Wrap Text",
    description="Breaks a text into lines of a width, in characters; longer words are cut.",
    examples=[Example({"text": "one two three", "width": 7}, output="one two\nthree")],
)
def wrap_text(inputs: WrapInput) -> str:
    """The lines."""
    lines = inputs.given.splitlines() if inputs.preserve_newlines else [" ".join(inputs.given.split())]
    wrapped = [textwrap.wrap(line, inputs.width, break_on_hyphens=False) or [""] for line in lines]
    return "\n".join(line for each in wrapped for line in each)


class CompareInput(BaseModel):
    """Two texts."""

    text_a: str | None = Field(default=None, description="One text.")
    text_b: str | None = Field(default=None, description="The other one.")
    mode: Literal["exact", "case-insensitive", "levenshtein-distance", "contains"] = Field(
        default="exact", description="How they are compared; `contains`: whether the first holds the second."
    )


@capability(
    id="compare-text",
    display_name="Compare Text",
    description="Tells whether two texts are equal, one holds the other, or how many edits lie between them.",
    known_errors=(MISSING, TOO_LARGE_ERROR),
    examples=[Example({"text_a": "kitten", "text_b": "sitting", "mode": "levenshtein-distance"}, output=3)],
)
def compare_text(inputs: CompareInput) -> bool | int:
    """A boolean, or the distance."""
    one, other = required("text_a", inputs.text_a), required("text_b", inputs.text_b)
    if inputs.mode == "exact":
        return one == other
    if inputs.mode == "case-insensitive":
        return one.casefold() == other.casefold()
    if inputs.mode == "contains":
        return other in one
    if max(len(one), len(other)) > _LONGEST_COMPARED:
        raise AgentError.permanent(
            "TEXT_TOO_LARGE",
            f"distances are told of texts of up to {_LONGEST_COMPARED} characters",
            attributes={"limit": _LONGEST_COMPARED},
        )
    return edit_distance(one, other)


def edit_distance(one: str, other: str) -> int:
    """How many characters must be added, removed or replaced to make one text the other."""
    row = list(range(len(other) + 1))
    for number, mine in enumerate(one, 1):
        before, row[0] = row[0], number
        for index, theirs in enumerate(other, 1):
            before, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, before + (mine != theirs))
    return row[-1]
