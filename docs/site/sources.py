"""Gathers what the site is made of: documents of the repository, generated pages, and files that they link.

Every document has the path that it has in the repository, so its links lead to the same places. A link to a file that
is no Markdown leads to a page that shows the file, one to a directory to a page that lists it.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from capability_pages import FOLDER as AGENTS
from capability_pages import capability_pages
from language_page import PAGE as LANGUAGE
from language_page import language_page

REPOSITORY = Path(__file__).parents[2]
HOME = "README.md"

GUIDES = (
    "docs/guides/write-an-agent.md",
    "docs/guides/ship-a-bundle.md",
    "docs/guides/write-a-step-by-hand.md",
    "docs/guides/write-a-runner.md",
    "docs/guides/write-a-storage.md",
)
DISTRIBUTIONS = (
    "runtara",
    "runtara-sdk",
    "runtara-core",
    "runtara-environment",
    "runtara-compiler",
    "runtara-workflow-stdlib",
    "runtara-agents-csv-xml",
    "runtara-agents-http",
    "runtara-agents-sftp",
    "runtara-agents-transform",
)
NAVIGATION: Mapping[str, tuple[str, ...]] = {
    "Guides": GUIDES,
    "Scenarios": (LANGUAGE, f"{AGENTS}/index.md", "docs/diagnostic-codes.md", "docs/generated-modules.md"),
    "Distributions": tuple(f"packages/{name}/README.md" for name in DISTRIBUTIONS),
    "Project": ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"),
}
"""The sections of the navigation and their pages; those of agents follow from the page that lists them."""

_FENCES = re.compile(r"^(`{3,}).*?^\1$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml", ".md": "markdown", ".proto": "protobuf"}
_LARGEST_SHOWN_BYTES = 512 * 1024


class SourceError(Exception):
    """A document links something that does not exist; the message names both."""


def write_sources(directory: Path) -> int:
    """Write all pages below a directory, and tell their number. Raises `SourceError`."""
    generated = {**capability_pages(), LANGUAGE: language_page()}
    documents = [HOME, *(path for paths in NAVIGATION.values() for path in paths if path not in generated)]
    gathering = _Gathering(_tracked_files(), generated)
    pages = gathering.pages(documents)
    for path, text in pages.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return len(pages)


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """The text with its parts outside of fenced blocks changed."""
    parts, at = [], 0
    for fenced in _FENCES.finditer(text):
        parts += [change(text[at : fenced.start()]), fenced[0]]
        at = fenced.end()
    return "".join([*parts, change(text[at:])])


class _Gathering:
    """Follows the links of documents to all that belongs to the site."""

    def __init__(self, files: frozenset[str], generated: Mapping[str, str]) -> None:
        self._files = files
        self._directories = {parent for path in files for parent in _parents(path)}
        self._generated = generated
        self._waiting: list[str] = []

    def pages(self, documents: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for path, text in self._generated.items():
            found[path] = self._linked(path, text)
        self._waiting += documents
        while self._waiting:
            path = self._waiting.pop()
            page = _page_of(path)
            if page not in found:
                found[page] = self._page(path, is_in_navigation=path in documents)
        found["index.md"] += "\n" + "\n".join(_navigation())
        return found

    def _page(self, path: str, *, is_in_navigation: bool) -> str:
        if path in self._directories:
            text = "\n".join(self._listing(path)) + "\n"
        else:
            content = (REPOSITORY / path).read_text(encoding="utf-8")
            text = content if path.endswith(".md") else _shown(path, content)
        text = self._linked(path, text)
        return text if is_in_navigation else f"---\norphan: true\n---\n{text}"

    def _linked(self, path: str, text: str) -> str:
        def link(found: re.Match[str]) -> str:
            target, mark, anchor = found[1].partition("#")
            if not target or re.match(r"[a-z]+:", target):
                return found[0]
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if place in self._generated:
                return found[0]
            if place not in self._files and place not in self._directories:
                raise SourceError(f"{path} links {found[1]}, which does not exist")
            self._waiting.append(place)
            page = posixpath.relpath(_page_of(place), posixpath.dirname(_page_of(path)) or ".")
            return f"]({page}{mark}{anchor})"

        return outside_fences(text, lambda part: _LINK.sub(link, part))

    def _listing(self, directory: str) -> Iterator[str]:
        yield f"# {directory}"
        yield ""
        for path in sorted(self._files):
            if path.startswith(f"{directory}/"):
                name = path.removeprefix(f"{directory}/")
                yield f"* [{name}]({posixpath.basename(directory)}/{name})"


def _page_of(path: str) -> str:
    """The page of a file or directory; a directory and a file that is no Markdown get one more ending."""
    if path == HOME:
        return "index.md"
    return path if path.endswith(".md") else f"{path}.md"


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _shown(path: str, content: str) -> str:
    if len(content) > _LARGEST_SHOWN_BYTES:
        raise SourceError(f"{path} is linked, and is too large to be shown as a page")
    fence = "```"
    while fence in content:
        fence += "`"
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return f"# {path}\n\n{fence}{language}\n{content.removesuffix(chr(10))}\n{fence}\n"


def _navigation() -> Iterator[str]:
    for title, pages in NAVIGATION.items():
        yield "```{toctree}"
        yield ":hidden:"
        yield f":caption: {title}"
        yield ""
        yield from (f"/{page.removesuffix('.md')}" for page in pages)
        yield "```"
        yield ""


def _tracked_files() -> frozenset[str]:
    """The files of version control, and those that are about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise SourceError(f"the files of {REPOSITORY} cannot be listed: {error}") from error
    return frozenset(filter(None, listed.decode().split("\0")))
