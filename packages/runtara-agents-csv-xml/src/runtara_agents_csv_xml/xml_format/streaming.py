"""Elements of a document of any size, one after the other, in memory that stays flat.

The path is a subset of XPath: names with slashes. `/orders/order` begins at the root, `//order` and `order` anywhere;
`*` is any name; a name without prefix fits elements of every namespace.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_csv_xml.xml_format.documents import (
    PARSE_ERROR,
    DocumentInput,
    checked,
    parser_options,
    pieces_of,
    syntax_error,
    too_large,
)

if TYPE_CHECKING:
    from lxml import etree

PATH_INVALID = "XML_XPATH_INVALID"

_NAME = re.compile(r"\*|[^\W\d][\w.-]*")


def bad_path(path: str, reason: str) -> AgentError:
    """The error of a path."""
    return AgentError.permanent(PATH_INVALID, f"path {path[:200]!r}: {reason}", attributes={"path": path[:200]})


class ElementPath:
    """Names of elements, one within the other.

    Attributes:
        filter: of the last name, in the notation of lxml.
    """

    def __init__(self, path: str, namespaces: dict[str, str]) -> None:
        self._is_anywhere = path.startswith("//") or not path.startswith("/")
        self._names: list[tuple[str | None, str]] = []
        for step in path.removeprefix("/").removeprefix("/").split("/"):
            prefix, colon, name = step.rpartition(":")
            if _NAME.fullmatch(name) is None:
                raise bad_path(path, "to be streamed it must consist of names of elements with slashes between them")
            if colon and prefix not in namespaces:
                raise bad_path(path, f"the prefix {prefix[:100]!r} is not among `namespaces`")
            self._names.append((namespaces[prefix] if colon else None, name))
        namespace, name = self._names[-1]
        self.filter = f"{{{'*' if namespace is None else namespace}}}{name}"
        self._parent: Any = None
        self._parent_fits = False

    def fits(self, element: etree._Element) -> bool:
        """Whether an element and those around it fit the path."""
        if not self._fits_name(element.tag, self._names[-1]):
            return False
        parent = element.getparent()
        if parent is None or parent is not self._parent:
            self._parent, self._parent_fits = parent, self._ancestors_fit(parent)
        return self._parent_fits

    def _ancestors_fit(self, ancestor: etree._Element | None) -> bool:
        for name in reversed(self._names[:-1]):
            if ancestor is None or not self._fits_name(ancestor.tag, name):
                return False
            ancestor = ancestor.getparent()
        return self._is_anywhere or ancestor is None

    @staticmethod
    def _fits_name(tag: Any, wanted: tuple[str | None, str]) -> bool:
        namespace, name = wanted
        found_namespace, _, found = tag.rpartition("}")
        return name in ("*", found) and (namespace is None or namespace == found_namespace[1:])


def elements(
    inputs: DocumentInput, path: ElementPath, context: CapabilityContext, *, huge_texts: bool
) -> Iterator[etree._Element]:
    """The elements that fit, whole, each before the next part of the document is read.

    An element within another one that fits comes before it. `max_bytes` bounds one that fits, not the document, and
    elements are not counted.

    Raises:
        AgentError: one of `READ_ERRORS`.
    """
    from lxml import etree

    parser: Any = None
    root: Any = None
    outermost: Any = None
    before: Any = None
    held = 0
    try:
        for piece in pieces_of(inputs, context):
            held += len(piece)
            if held > max(inputs.max_bytes, len(piece)):
                raise too_large("bytes in one element", inputs.max_bytes, "max_bytes")
            if parser is None:
                # Whatever the root is called, it must be seen, so that what it holds can be freed.
                names = [path.filter, *_root_name(piece)]
                parser = etree.XMLPullParser(("start", "end"), tag=names, huge_tree=huge_texts, **parser_options())
            parser.feed(piece)
            for event, element in parser.read_events():
                if root is None:
                    root = element.getroottree().getroot()
                if event == "start":
                    if outermost is None and path.fits(element):
                        outermost = element
                elif path.fits(element):
                    if element is outermost:
                        outermost = None
                    yield element
            if root is not None:
                _let_go(root, outermost)
                if outermost is None:
                    held = 0
                elif outermost is not before:
                    held = len(piece)
                before = outermost
        if parser is None:
            raise AgentError.permanent(PARSE_ERROR, "the document is empty", attributes={"line": 1, "column": 1})
        checked(parser.close())
    except etree.XMLSyntaxError as error:
        raise syntax_error(error, parser) from None


def _root_name(beginning: bytes) -> list[str]:
    """The name of the root; none when it cannot be told yet, or the beginning is malformed."""
    from lxml import etree

    parser = etree.XMLPullParser(("start",), **parser_options())
    with contextlib.suppress(etree.XMLSyntaxError):
        parser.feed(beginning)
    first: Any = next(iter(parser.read_events()), None)
    return [] if first is None else [str(first[1].tag)]


def _let_go(root: etree._Element, outermost: etree._Element | None) -> None:
    """Free what was read whole: everything beside the elements that are still open."""
    node = root
    while node is not outermost and len(node):
        del node[:-1]
        node = node[-1]
