"""The site of the documentation: it is built without a network, asks for none, and all its links lead somewhere."""

from __future__ import annotations

import posixpath
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import sources
from sources import SourceError, outside_fences

from tests.documents import headings
from tests.integration.clean_environment import REPOSITORY, outside_variables

MOST_PROCESSOR_SECONDS = 60
"""Half a minute on two processors, however busy the machine is with other things."""
LOADING_ATTRIBUTES = ("src", "srcset", "data", "poster", "action", "xlink:href")
NO_NETWORK = """
import socket

def refuse(*arguments, **options):
    raise OSError("the build of the documentation asks the network")

socket.getaddrinfo = refuse
socket.socket.connect = refuse
"""
"""What a Python imports at its start in the build, and hands on to its children by the search path."""


@dataclass
class Page(HTMLParser):
    """What one page refers to.

    Attributes:
        anchors: ids of its elements.
        links: where readers may go.
        loaded: what a browser fetches to show it.
    """

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag in {"a", "area"} and "href" in given:
            self.links.append(given["href"])
        elif "href" in given:
            self.loaded.append(given["href"])
        self.loaded += [
            given[name] for name in ("src", "srcset", "data", "poster", "action", "xlink:href") if name in given
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, of a build that has no network."""
    output = tmp_path_factory.mktemp("docs")
    guard = tmp_path_factory.mktemp("guard")
    (guard / "sitecustomize.py").write_text(NO_NETWORK)
    began, used = time.monotonic(), _processor_seconds()
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "build-docs"), "--output", str(output)],
        cwd=REPOSITORY,
        env=outside_variables() | {"PYTHONPATH": str(guard)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    used = _processor_seconds() - used
    print(f"built in {time.monotonic() - began:.1f} s, {used:.1f} s of a processor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert used < MOST_PROCESSOR_SECONDS
    return output / "html"


def _processor_seconds() -> float:
    """What the children of this process have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    found = {}
    for path in site.rglob("*.html"):
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        found[path.relative_to(site).as_posix()] = page
    assert len(found) > 180
    return found


def test_a_reader_needs_no_network(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for target in page.loaded:
            assert not urlsplit(target).netloc, f"{name} loads {target}"
            file = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(urlsplit(target).path)))
            assert not urlsplit(target).path or (site / file).exists(), f"{name} loads {target}, which is not there"
    for path in site.rglob("*.html"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", path.read_text(encoding="utf-8")), path
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", text), f"{path.name} loads something"
    for path in site.rglob("*.js"):
        named = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8")))
        # A name of XML, and two comments.
        known = ("http://www.w3.org/", "https://developer.mozilla.org/", "https://snowballstem.org/")
        assert not [url for url in named if not url.startswith(known)], f"{path.name} names {named}"


def test_links_and_anchors_of_the_site_lead_somewhere(site: Path, pages: dict[str, Page]) -> None:
    wrong = []
    checked = 0
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            checked += 1
            file = unquote(parts.path)
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name
            target = pages.get(path)
            if target is None:
                wrong += [] if (site / path).is_file() else [f"{name}: {link}"]
            elif parts.fragment and unquote(parts.fragment) not in target.anchors:
                wrong.append(f"{name}: {link}")
    assert not wrong
    assert checked > 5000


def test_the_site_holds_all_that_it_should(site: Path, capability_pages: dict[str, str]) -> None:
    expected = [path.removesuffix(".md") for path in capability_pages]
    expected += ["index", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "scenario-language", "docs/diagnostic-codes"]
    expected += [f"docs/guides/{path.stem}" for path in (REPOSITORY / "docs" / "guides").glob("*.md")]
    expected += [f"packages/{path.parent.name}/README" for path in REPOSITORY.glob("packages/*/README.md")]
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in expected:
        assert (site / f"{page}.html").is_file()
        if page.count("/") < 3 and not page.startswith("agents/") and page != "index":
            assert f'href="{page}.html"' in home, f"{page} is not in the navigation"
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    for found in ("sftp-wait-for-file", "from-csv", "Write a runner", "Diagnostic codes"):
        assert found in index, f"the search does not find {found}"


def test_a_link_to_a_file_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Home\n\n[gone](docs/gone.md)\n")
    monkeypatch.setattr(sources, "REPOSITORY", tmp_path)
    monkeypatch.setattr(sources, "NAVIGATION", {})
    monkeypatch.setattr(sources, "capability_pages", dict)
    monkeypatch.setattr(sources, "language_page", str)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, timeout=30)
    with pytest.raises(SourceError, match=r"^README.md links docs/gone.md, which does not exist$"):
        sources.write_sources(tmp_path / "out")


def test_a_link_to_an_anchor_that_is_missing_ends_the_build(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text("# Home\n\n[gone](#gone)\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-c", str(REPOSITORY / "docs" / "site")]
    done = subprocess.run(
        [*command, str(pages), str(tmp_path / "html")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "gone" in done.stderr


def test_code_is_no_link() -> None:
    text = "[a](b)\n\n```text\n[a](b)\n```\n\n[a](b)\n"
    assert outside_fences(text, lambda part: part.replace("(b)", "(c)")) == (
        "[a](c)\n\n```text\n[a](b)\n```\n\n[a](c)\n"
    )


def documents() -> Iterator[Path]:
    yield from REPOSITORY.glob("*.md")
    for pattern in ("docs/**/*.md", "packages/*/README.md", "examples/**/*.md"):
        yield from REPOSITORY.glob(pattern)


def test_headings_are_anchors_on_the_site_as_on_a_code_host(pages: dict[str, Page]) -> None:
    checked = 0
    for document in documents():
        name = document.relative_to(REPOSITORY).as_posix()
        page = pages.get("index.html" if name == "README.md" else name.replace(".md", ".html"))
        if page is not None:
            assert headings(document) <= page.anchors, name
            checked += 1
    assert checked > 15
