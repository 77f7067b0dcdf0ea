"""Acme's runner of programs that may wait."""

from __future__ import annotations

from acme_background.runner import BackgroundRunner

__all__ = ["BackgroundRunner"]
