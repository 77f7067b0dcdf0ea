"""Lists of any length, printed a page at a time: as a table, or as one JSON object."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from runtara_sdk.cli.ctl.target import print_lines, wants_json
from runtara_sdk.cli.tables import Table
from runtara_sdk.cli.text import json_text

if TYPE_CHECKING:
    from runtara_sdk.management.models import Answer

MAX_PAGE = 1_000
"""Most rows that an environment gives at once."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Page(Protocol):
    """A page of a list."""

    @property
    def total_count(self) -> int:
        """Number of all rows that match."""

    @property
    def next_page_token(self) -> str | None:
        """Of the next page."""


PageT = TypeVar("PageT", bound=Page)


limit_option = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Most rows of the list."
)
all_option = click.option("--all", "everything", is_flag=True, help="List all, however many they are.")
_token_option = click.option("--page-token", metavar="TOKEN", help="Go on where the list that gave this token ended.")


def page_options(command: Decorated) -> Decorated:
    """Options of every list: --limit, --all, --page-token."""
    for option in (_token_option, all_option, limit_option):
        command = option(command)
    return command


async def pages(
    ask: Callable[[int, str | None], Awaitable[PageT]],
    rows_of: Callable[[PageT], Sequence[Any]],
    *,
    limit: int | None,
    page_token: str | None = None,
) -> AsyncIterator[PageT]:
    """Pages until there is no further one, or `limit` rows have come; `ask` takes the size and the token of a page."""
    token, told = page_token, 0
    while True:
        page = await ask(MAX_PAGE if limit is None else min(MAX_PAGE, limit - told), token)
        yield page
        told += len(rows_of(page))
        token = page.next_page_token
        if token is None or (limit is not None and told >= limit):
            return


class ListPrinter:
    """Prints the pages of one list; nothing of a page is kept once it is printed.

    `name` is that of the rows in the JSON object, such as `instances`; `page_token` the one that the list begins with.
    """

    def __init__(self, name: str, headings: Sequence[str], page_token: str | None) -> None:
        self._name = name
        self._is_continued = page_token is not None
        self._table = None if wants_json() else Table(headings)
        self._told = 0
        self._last: Page | None = None

    def print_page(self, page: Page, rows: Sequence[Answer], cells_of: Callable[[Any], Sequence[str]]) -> None:
        """Print the rows of one page."""
        self._last = page
        if self._table is not None:
            print_lines(self._table.lines(cells_of(row) for row in rows))
            self._told += len(rows)
            return
        from runtara_sdk.management import as_json

        for row in rows:
            click.echo(",\n" if self._told else f'{{\n  "{self._name}": [\n', nl=False)
            click.echo(textwrap.indent(json_text(as_json(row)), "    "), nl=False)
            self._told += 1

    def finish(self) -> None:
        """End the list: how many there are, and where it goes on."""
        total = 0 if self._last is None else self._last.total_count
        token = None if self._last is None else self._last.next_page_token
        if self._table is not None:
            if token is not None:
                click.echo(f"{self._told} of {total}; --all lists all, --page-token {token} goes on", err=True)
            elif self._told < total and not self._is_continued:
                click.echo(f"{self._told} of {total}", err=True)
            return
        click.echo("\n  ],\n" if self._told else f'{{\n  "{self._name}": [],\n', nl=False)
        further = "" if token is None else f',\n  "next_page_token": "{token}"'
        click.echo(f'  "total_count": {total}{further}\n}}')
