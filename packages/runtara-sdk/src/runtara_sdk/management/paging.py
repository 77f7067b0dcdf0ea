"""Every row of a list, fetched a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from runtara_sdk.errors import InvalidInputError, ProtocolError

_LARGEST_NUMBER = 2**31 - 1
"""That a page may be asked for with."""


class Page(Protocol):
    """What pages of all lists tell."""

    @property
    def total_count(self) -> int:
        """Number of all rows that match."""

    @property
    def next_page_token(self) -> str | None:
        """Of the next page; None on the last one."""


PageT = TypeVar("PageT", bound=Page)
RowT = TypeVar("RowT")


def check_page(limit: int, offset: int = 0) -> None:
    """Refuse what cannot be sent; raises `InvalidInputError` with the argument's name and value."""
    for name, value in (("limit", limit), ("offset", offset)):
        if not 0 <= value <= _LARGEST_NUMBER:
            raise InvalidInputError(f"{name} is {value}: it counts rows, from 0 to {_LARGEST_NUMBER}")


async def iterate(
    ask: Callable[[str | None], Awaitable[PageT]], rows_of: Callable[[PageT], Sequence[RowT]]
) -> AsyncIterator[RowT]:
    """The rows of each page, as long as there is a next one; no page is asked for before its rows are wanted.

    Raises `ProtocolError` when the server pages by offset alone, as earlier versions did.
    """
    token: str | None = None
    while True:
        page = await ask(token)
        rows = rows_of(page)
        for row in rows:
            yield row
        if page.next_page_token is None:
            if token is None and page.total_count > len(rows):
                raise ProtocolError("the environment gives no page tokens: update it, or list by limit and offset")
            return
        token = page.next_page_token
