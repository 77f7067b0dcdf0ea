"""`runtara new`: projects to begin with. The template of each kind, `KIND-cookiecutter`, lies beside this module."""

from __future__ import annotations

from pathlib import Path

KINDS = ("agent", "storage", "runner", "stdlib")
"""What there are templates for."""


def template_directory(kind: str) -> Path:
    """The template of `runtara new KIND`, in the layout of cookiecutter."""
    return Path(__file__).with_name(f"{kind}-cookiecutter")
