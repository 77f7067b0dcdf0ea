"""Configuration of Sphinx; `scripts/build-docs` gathers what it reads."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

project = "Runtara"
author = "Runtara"
root_doc = "index"
extensions = ["myst_parser"]

# Markdown means here what it means on a code host: quotes and dashes as they are written, anchors of headings.
myst_heading_anchors = 4
smartquotes = False
# Shortened JSON and sessions of a shell are no complete programs.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = "Runtara"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"sidebar_hide_name": False}
pygments_style = "friendly"
pygments_dark_style = "monokai"


def setup(app: Sphinx) -> None:
    """Shorten the navigation, before the theme asks for it."""
    app.connect("html-page-context", _show_only_where_the_reader_is, priority=100)


def _show_only_where_the_reader_is(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _document: object
) -> None:
    """Open the branch of the page alone: with all capabilities of all agents the navigation is long and slow."""
    whole = context.get("toctree")
    if whole is not None:
        context["toctree"] = lambda **options: whole(**{**options, "collapse": True})
