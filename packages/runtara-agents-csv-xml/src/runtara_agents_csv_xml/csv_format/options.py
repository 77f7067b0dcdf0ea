"""Inputs that the capabilities of the CSV agent share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, Field, field_validator
from runtara_sdk.agents.files import FileInput

ColumnType = Literal["string", "integer", "number", "boolean", "date", "json"]
BadRow = Literal["error", "skip", "pad", "collect"]

DEFAULT_FIELD_CHARACTERS = 1_000_000
MOST_COLUMNS = 16_384


class ReadOptions(BaseModel):
    """What is read, and how its text is to be understood."""

    data: FileInput = Field(
        default=None,
        title="Data",
        description="The file; or give `text`.",
        examples=[{"$file": "in/orders.csv"}],
    )
    text: str | None = Field(
        default=None,
        validation_alias=AliasChoices("text", "content"),
        title="Text",
        description="CSV text, in place of `data`.",
        examples=["sku;qty\nA1;2\n"],
    )
    encoding: str = Field(
        default="UTF-8",
        title="Encoding",
        description="Of the file. A byte order mark at its beginning wins; Latin-1 means Windows-1252.",
    )
    delimiter: str = Field(
        default=",",
        title="Delimiter",
        description="One character, or `auto` for the one of comma, semicolon, tab, bar that fits.",
    )
    dialect: Literal["excel", "excel-tab", "tsv", "unix"] | None = Field(
        default=None, description="Sets the delimiter: `excel-tab` and `tsv` to tab, the others to comma."
    )
    quote_char: str = Field(default='"', description="One character; doubled within quotes.")
    escape_char: str | None = Field(default=None, description="One character before a quote that is meant literally.")
    use_header: bool = Field(
        default=True,
        validation_alias=AliasChoices("use_header", "has_headers"),
        description="Whether the first row names the columns.",
    )
    columns: list[str] | None = Field(
        default=None, description="Names of the columns, in place of those of the header.", examples=[["sku", "qty"]]
    )
    duplicate_columns: Literal["last", "first", "rename", "error"] = Field(
        default="last", description="Which of several columns of one name counts; `rename` makes name, name_2, ..."
    )
    skip_rows: int = Field(default=0, ge=0, le=1_000_000, description="Lines before the header that are no CSV.")
    skip_empty_lines: bool = Field(default=True, description="Whether rows of one blank field are left out.")
    trim_whitespace: bool = Field(default=False, description="Whether blanks around names and fields are removed.")
    comment_char: str | None = Field(default=None, description="Lines that begin with it are left out.")
    infer_types: bool = Field(
        default=False,
        description="Whether fields that read as numbers and booleans of JSON are such; everything is text otherwise.",
    )
    types: dict[str, ColumnType] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("types", "schema"),
        description="Types by column: string, integer, number, boolean, date (ISO 8601) or json. What does not fit is "
        "a bad row.",
        examples=[{"qty": "integer"}],
    )
    null_values: list[str] = Field(
        default_factory=list,
        description="Fields that are null, such as an empty text or NULL.",
        examples=[["", "NULL"]],
    )
    on_bad_row: BadRow = Field(
        default="error",
        description="What becomes of a row with too many or too few fields, or with a field of another type: an error, "
        "left out (skip), filled with null and cut (pad), or left out and told (collect).",
    )
    max_field_characters: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        default=DEFAULT_FIELD_CHARACTERS, description="A longer field is an error: a quote is missing, most likely."
    )

    @field_validator("delimiter")
    @classmethod
    def _one_delimiter(cls, value: str) -> str:
        return value if value == "auto" else _one_character(value, "delimiter")

    @field_validator("quote_char", "escape_char", "comment_char")
    @classmethod
    def _one_character_each(cls, value: str | None) -> str | None:
        return value if value is None else _one_character(value, "it")

    def model_post_init(self, _context: Any) -> None:
        """Let the dialect say what nothing else says."""
        if self.dialect in ("excel-tab", "tsv") and "delimiter" not in self.model_fields_set:
            self.delimiter = "\t"


def _one_character(value: str, name: str) -> str:
    if len(value) != 1 or value in "\r\n\0":
        raise ValueError(f"{name} must be one character, and no line break")
    return value
