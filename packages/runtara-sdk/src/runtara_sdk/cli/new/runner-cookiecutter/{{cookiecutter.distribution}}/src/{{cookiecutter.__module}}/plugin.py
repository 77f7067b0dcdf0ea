"""What the entry point names: the runners of this plugin."""

from __future__ import annotations

from collections.abc import Iterable

from runtara_environment.hookspecs import hookimpl
from runtara_environment.runner import Runner

from {{ cookiecutter.__module }}.runner import BoundedRunner


@hookimpl
def runtara_runners() -> Iterable[type[Runner]]:
    """The runner classes; each is made without arguments, and images and settings name it by its `runner_type`."""
    return (BoundedRunner,)
