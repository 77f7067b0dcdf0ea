"""Groups of the elements of an array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runtara_sdk.workflow.coercion import as_text
from runtara_sdk.workflow.paths import resolve_path
from runtara_sdk.written_decimal import WrittenDecimal, plain_text


def group_items(items: Iterable[Any], key_path: str, expected_keys: Iterable[str] = ()) -> dict[str, list[Any]]:
    """Elements by the text of what `key_path` holds in each; expected keys are there even when they are empty."""
    groups: dict[str, list[Any]] = {key: [] for key in expected_keys}
    for item in items:
        found = resolve_path(key_path, item) if isinstance(item, dict) else None
        # Numbers that are equal are one group, however they are written.
        key = plain_text(found) if isinstance(found, WrittenDecimal) else "_null" if found is None else as_text(found)
        groups.setdefault(key, []).append(item)
    return groups
