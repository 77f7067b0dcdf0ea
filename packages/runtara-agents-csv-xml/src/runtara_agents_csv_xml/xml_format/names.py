"""Names in XML that is written: what they may consist of, and the prefixes of their namespaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from runtara_agents_csv_xml.xml_format.texts import UnwritableError, attribute_text

_START = (
    "A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(f"[{_START}][{_START}0-9.\u00b7\u0300-\u036f\u203f\u2040-]*")
_XML = "http://www.w3.org/XML/1998/namespace"
_XMLNS = "http://www.w3.org/2000/xmlns/"


class Names:
    """The prefixes that are in force where something is written.

    Names are bare, `prefix:name` or `{namespace}name`. A bare name of an element is of the default namespace, where
    there is one. A namespace without a prefix gets one, `ns1` and so on.

    Args:
        prefixes: namespaces by prefix; the empty prefix is the default one.

    Raises:
        UnwritableError: a prefix or a namespace cannot be.
    """

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._prefixes = dict(prefixes)
        for prefix, namespace in prefixes.items():
            _check_declaration(prefix, namespace)
        self.elements: dict[str, str] = {}
        """Names of elements that were written before, as they stand in the text."""
        self._attributes: dict[str, str] = {}

    def within(self, declared: Mapping[str, str]) -> Names:
        """The prefixes in force within an element that declares further ones."""
        for prefix, namespace in declared.items():
            _check_declaration(prefix, namespace)
        inner = Names({})
        inner._prefixes = {**self._prefixes, **declared}
        return inner

    def missing(self, names: list[tuple[str, bool]]) -> dict[str, str]:
        """Prefixes that must be declared before names can be written; names as `write` takes them."""
        added: dict[str, str] = {}
        for name, is_attribute in names:
            if not name.startswith("{"):
                continue
            namespace = name[1:].rpartition("}")[0]
            if not namespace or namespace == _XML or self._prefix_of(namespace, is_attribute=is_attribute) is not None:
                continue
            if any(each == namespace for each in added.values()):
                continue
            number = 1
            while f"ns{number}" in self._prefixes or f"ns{number}" in added:
                number += 1
            added[f"ns{number}"] = namespace
        return added

    def write(self, name: str, *, is_attribute: bool) -> str:
        """A name as it stands in the text; raises `UnwritableError`."""
        known = self._attributes if is_attribute else self.elements
        found = known.get(name)
        if found is None:
            found = self._resolved(name, is_attribute=is_attribute)
            if len(known) < _MOST_NAMES:
                known[name] = found
        return found

    def expanded(self, written: str) -> tuple[str, str]:
        """Namespace and local name of an attribute that was written."""
        prefix, colon, local = written.rpartition(":")
        return (_XML if prefix == "xml" else self._prefixes[prefix] if colon else "", local)

    def _resolved(self, name: str, *, is_attribute: bool) -> str:
        if name.startswith("{"):
            namespace, _, local = name[1:].rpartition("}")
            prefix = self._prefix_of(namespace, is_attribute=is_attribute) if namespace else ""
            name = f"{prefix}:{local}" if prefix else local
        prefix, colon, local = name.partition(":")
        if not colon:
            return _checked(name)
        if prefix not in self._prefixes and prefix != "xml":
            raise UnwritableError(f"the prefix {prefix[:100]!r} is not among `namespaces`")
        return f"{_checked(prefix)}:{_checked(local)}"

    def _prefix_of(self, namespace: str, *, is_attribute: bool) -> str | None:
        if namespace == _XML:
            return "xml"
        fits = [prefix for prefix, each in self._prefixes.items() if each == namespace and (prefix or not is_attribute)]
        return fits[-1] if fits else None


_MOST_NAMES = 10_000


def declarations(prefixes: Mapping[str, str]) -> str:
    """Attributes that declare namespaces, each after a blank."""
    return "".join(
        f" {f'xmlns:{prefix}' if prefix else 'xmlns'}={quoteattr(attribute_text(namespace))}"
        for prefix, namespace in prefixes.items()
    )


def _check_declaration(prefix: str, namespace: str) -> None:
    if prefix:
        _checked(prefix)
        if not namespace:
            raise UnwritableError(f"the prefix {prefix[:100]!r} has no namespace")
    if prefix == "xmlns" or namespace == _XMLNS or (prefix == "xml") != (namespace == _XML):
        raise UnwritableError(f"the prefix {prefix[:100]!r} or its namespace is reserved by XML")


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise UnwritableError(f"{name[:100]!r} is no name of an element or attribute")
    return name
