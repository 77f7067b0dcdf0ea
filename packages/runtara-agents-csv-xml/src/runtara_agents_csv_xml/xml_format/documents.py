"""Opening XML safely: no entities, no network, bounded depth, size and number of elements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, KnownError
from runtara_sdk.agents.files import FILE_ERRORS, FileInput

from runtara_agents_csv_xml.sources import INPUT_MISSING, open_source
from runtara_agents_csv_xml.xml_format.encodings import DOCTYPE_REFUSED, ENCODING_ERROR, TOO_LARGE, utf8_pieces

if TYPE_CHECKING:
    from lxml import etree

PARSE_ERROR = "XML_PARSE_ERROR"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(INPUT_MISSING, "Neither or both of `data` and `text` are given.", "inputs"),
    KnownError.permanent(ENCODING_ERROR, "The encoding is unknown, or the bytes are not of it.", "line", "column"),
    KnownError.permanent(PARSE_ERROR, "It is no well-formed XML.", "line", "column"),
    KnownError.permanent(DOCTYPE_REFUSED, "It has a document type, which could define entities."),
    KnownError.permanent(TOO_LARGE, "It is larger, deeper or has more elements than may be.", "limit"),
)

DEFAULT_BYTES = 50 * 1024 * 1024

# Numbers of libxml2's errors.
_OF_ENCODINGS = frozenset({31, 32, 81, 6000, 6003})
_UNDECLARED_ENTITY = 26
_POSITION = re.compile(r", line [0-9]+, column [0-9]+$")
_OF_SIZE = ("Excessive depth", "huge", "too long", "too big", "Maximum entity amplification")


class DocumentInput(BaseModel):
    """An XML document."""

    data: FileInput = Field(
        default=None, title="Data", description="The file; or give `text`.", examples=[{"$file": "in/orders.xml"}]
    )
    text: str | None = Field(
        default=None,
        validation_alias=AliasChoices("text", "content"),
        title="Text",
        description="XML text, in place of `data`.",
        examples=["<order><id>7</id></order>"],
    )
    encoding: str | None = Field(
        default=None,
        title="Encoding",
        description="Wins over what the document declares, but not over a byte order mark; UTF-8 where nothing says "
        "anything.",
    )
    max_bytes: int = Field(
        default=DEFAULT_BYTES, ge=1, le=2**40, description="More that are held at once are an error."
    )
    max_depth: int = Field(default=200, ge=1, le=255, description="Elements within elements: more are an error.")
    max_elements: int = Field(default=1_000_000, ge=1, le=2**40, description="More elements are an error.")


def document(inputs: DocumentInput, context: CapabilityContext) -> etree._Element:
    """The root of a whole document.

    Raises:
        AgentError: one of `READ_ERRORS`.
    """
    root = _parsed(inputs, context)
    if root is None:
        root = _counted(inputs, context)
    if root.xpath(f"boolean({'/*' * (inputs.max_depth + 1)})"):
        raise too_large("levels", inputs.max_depth, "max_depth")
    return root


def parser_options() -> dict[str, Any]:
    """What no parser of documents may leave out; the bounds are those of `DocumentInput`."""
    return {
        "encoding": "UTF-8",
        "resolve_entities": False,
        "no_network": True,
        "load_dtd": False,
        "dtd_validation": False,
        "attribute_defaults": False,
    }


def pieces_of(inputs: DocumentInput, context: CapabilityContext) -> Iterator[bytes]:
    """The document as UTF-8 in pieces; raises as `document` does."""
    stream, is_text = open_source(inputs.data, inputs.text, context)
    with stream:
        for piece in utf8_pieces(stream, inputs.encoding, is_text=is_text):
            yield piece
            context.check()


def _parsed(inputs: DocumentInput, context: CapabilityContext) -> etree._Element | None:
    """The root; None when there may be too many elements, so that they must be counted."""
    from lxml import etree

    parser = etree.XMLParser(huge_tree=True, **parser_options())
    size = most = 0
    try:
        for piece in pieces_of(inputs, context):
            size += len(piece)
            if size > inputs.max_bytes:
                raise too_large("bytes", inputs.max_bytes, "max_bytes")
            most += piece.count(b"<") - piece.count(b"</")  # comments and CDATA are counted, too
            if most > inputs.max_elements:
                return None
            parser.feed(piece)
        return checked(parser.close())
    except etree.XMLSyntaxError as error:
        raise syntax_error(error, parser) from None


def _counted(inputs: DocumentInput, context: CapabilityContext) -> etree._Element:
    from lxml import etree

    parser = etree.XMLPullParser(("start",), huge_tree=True, **parser_options())
    size = elements = 0
    try:
        for piece in pieces_of(inputs, context):
            size += len(piece)
            if size > inputs.max_bytes:
                raise too_large("bytes", inputs.max_bytes, "max_bytes")
            parser.feed(piece)
            elements += sum(1 for _ in parser.read_events())
            if elements > inputs.max_elements:
                raise too_large("elements", inputs.max_elements, "max_elements")
        return checked(parser.close())
    except etree.XMLSyntaxError as error:
        raise syntax_error(error, parser) from None


def checked(root: etree._Element) -> etree._Element:
    """The root; raises `AgentError` when there is a document type after all."""
    if root.getroottree().docinfo.internalDTD is not None:
        raise AgentError.permanent(DOCTYPE_REFUSED, "the document has a DOCTYPE: send it without one")
    return root


def syntax_error(error: Any, parser: Any) -> AgentError:
    """The error of a document that cannot be read, with its place."""
    code, text, (line, column) = error.code, str(error.msg), error.position
    if not line and len(parser.feed_error_log):
        # What libxml2 goes on after is known to its log alone.
        first = parser.feed_error_log[0]
        code, text, line, column = first.type, first.message, first.line, first.column
    line, column = max(1, line), max(1, column)
    text = _POSITION.sub("", text.partition("\n")[0])[:200]
    place = {"line": line, "column": column}
    if code in _OF_ENCODINGS:
        return AgentError.permanent(
            ENCODING_ERROR, f"line {line}, column {column}: {text}: give the right `encoding`", attributes=place
        )
    if any(part in text for part in _OF_SIZE):
        return AgentError.permanent(TOO_LARGE, f"line {line}, column {column}: {text}", attributes=place)
    if code == _UNDECLARED_ENTITY:
        text += " (entities other than &lt; &gt; &amp; &quot; &apos; are not known)"
    return AgentError.permanent(PARSE_ERROR, f"line {line}, column {column}: {text}", attributes=place)


def too_large(what: str, limit: int, option: str) -> AgentError:
    """The error of a document over a bound."""
    return AgentError.permanent(
        TOO_LARGE, f"the document has more than {limit} {what}: raise {option}", attributes={"limit": limit}
    )
