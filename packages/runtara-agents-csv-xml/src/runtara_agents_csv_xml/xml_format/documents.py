"""Opening XML safely: no entities, no network, bounded depth, size and number of elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, KnownError
from runtara_sdk.agents.files import FILE_ERRORS, FileInput

from runtara_agents_csv_xml.sources import INPUT_MISSING, encoding_of, open_source

if TYPE_CHECKING:
    from lxml import etree

DECODE_ERROR = "XML_DECODE_ERROR"
ENCODING_ERROR = "XML_ENCODING_ERROR"
PARSE_ERROR = "XML_PARSE_ERROR"
DOCTYPE_REFUSED = "XML_DOCTYPE_REFUSED"
TOO_LARGE = "XML_TOO_LARGE"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(INPUT_MISSING, "Neither or both of `data` and `text` are given.", "inputs"),
    KnownError.permanent(ENCODING_ERROR, "The encoding is unknown, or the bytes are not of it."),
    KnownError.permanent(PARSE_ERROR, "It is no well-formed XML.", "line", "column"),
    KnownError.permanent(DOCTYPE_REFUSED, "It has a document type, which could define entities."),
    KnownError.permanent(TOO_LARGE, "It is larger, deeper or has more elements than may be.", "limit"),
)

DEFAULT_BYTES = 50 * 1024 * 1024
_PIECE_BYTES = 64 * 1024


class DocumentInput(BaseModel):
    """An XML document."""

    data: FileInput = Field(default=None, title="Data", description="The file; or give `text`.")
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
        description="Wins over what the document declares; UTF-8 where neither says anything.",
    )
    max_bytes: int = Field(default=DEFAULT_BYTES, ge=1, le=2**40, description="A larger document is an error.")
    max_depth: int = Field(default=200, ge=1, le=255, description="Elements within elements.")
    max_elements: int = Field(default=5_000_000, ge=1, le=2**40, description="More elements are an error.")


def pull(inputs: DocumentInput, context: CapabilityContext) -> Iterator[tuple[str, etree._Element]]:
    """The events of a document as it is read; who takes them clears what is no longer needed.

    Raises:
        AgentError: one of `READ_ERRORS`.
    """
    from lxml import etree

    stream, is_text = open_source(inputs.data, inputs.text, context)
    with stream:
        parser = etree.XMLPullParser(
            ("start", "end", "comment", "pi"),
            encoding=_encoding(stream, inputs, is_text=is_text),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            attribute_defaults=False,
            huge_tree=True,  # the bounds are those below
            remove_comments=False,
            remove_pis=False,
        )
        bounds = _Bounds(inputs)
        try:
            while piece := stream.read(_PIECE_BYTES):
                bounds.bytes(len(piece))
                parser.feed(piece)
                yield from _checked(parser, bounds)
                context.check()
            root = parser.close()
            yield from _checked(parser, bounds)
        except etree.XMLSyntaxError as error:
            raise _syntax_error(error, parser) from None
        _refuse_document_type(root.getroottree())


def document(inputs: DocumentInput, context: CapabilityContext) -> etree._Element:
    """The root of a whole document; raises as `pull` does."""
    root = None
    for event, element in pull(inputs, context):
        if event == "start" and root is None:
            root = element
    if root is None:
        raise AgentError.permanent(PARSE_ERROR, "the document has no element", attributes={"line": 1, "column": 1})
    return root


class _Bounds:
    def __init__(self, inputs: DocumentInput) -> None:
        self._inputs = inputs
        self._bytes = self._elements = self._depth = 0
        self._is_checked = False

    def bytes(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._inputs.max_bytes:
            raise _too_large("bytes", self._inputs.max_bytes, "max_bytes")

    def start(self, element: etree._Element) -> None:
        if not self._is_checked:
            _refuse_document_type(element.getroottree())
            self._is_checked = True
        self._elements += 1
        self._depth += 1
        if self._depth > self._inputs.max_depth:
            raise _too_large("levels", self._inputs.max_depth, "max_depth")
        if self._elements > self._inputs.max_elements:
            raise _too_large("elements", self._inputs.max_elements, "max_elements")

    def end(self) -> None:
        self._depth -= 1


def _checked(parser: Any, bounds: _Bounds) -> Iterator[tuple[str, etree._Element]]:
    for event, element in parser.read_events():
        if event == "start":
            bounds.start(element)
        elif event == "end":
            bounds.end()
        else:
            continue
        yield event, element


def _encoding(stream: BinaryIO, inputs: DocumentInput, *, is_text: bool) -> str | None:
    """What the parser is told; None lets the document say it."""
    head = stream.read(4)
    stream.seek(0)
    has_mark = head.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    if not is_text and (inputs.encoding is None or has_mark):
        return None
    found = encoding_of(stream, inputs.encoding or "UTF-8", is_text=is_text, code=ENCODING_ERROR)
    return {"utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "cp1252": "windows-1252"}.get(found, found)


def _refuse_document_type(tree: Any) -> None:
    if tree.docinfo.doctype or tree.docinfo.internalDTD is not None:
        raise AgentError.permanent(
            DOCTYPE_REFUSED, "the document has a DOCTYPE, which could define entities: send it without one"
        )


def _syntax_error(error: etree.XMLSyntaxError, parser: Any) -> AgentError:
    line, column = error.position
    text = str(error.msg).partition("\n")[0][:200]
    if "encoding" in text.lower() or "not proper UTF-8" in text or "bytes:" in text.lower():
        return AgentError.permanent(
            ENCODING_ERROR, f"line {line}: {text}: give the right encoding", attributes={"line": line, "column": column}
        )
    if "entity" in text.lower() and "not defined" in text.lower():
        text += " (entities other than &lt; &gt; &amp; &quot; &apos; are not known)"
    return AgentError.permanent(
        PARSE_ERROR, f"line {line}, column {column}: {text}", attributes={"line": line, "column": column}
    )


def _too_large(what: str, limit: int, option: str) -> AgentError:
    return AgentError.permanent(
        TOO_LARGE, f"the document has more than {limit} {what}: raise {option}", attributes={"limit": limit}
    )
