"""Options that bound what a program may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from runtara_sdk.resource_limits import ResourceLimits, parse_bytes

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_NAMES = ("memory_bytes", "cpu_cores", "processes", "file_size_bytes", "open_files", "tmp_bytes", "output_bytes")


def _read_size(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_bytes(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _size(option: str, name: str, text: str) -> Callable[[CommandT], CommandT]:
    return click.option(option, name, metavar="SIZE", callback=_read_size, help=text)


_OPTIONS = (
    _size("--memory", "memory_bytes", "Memory, such as 512MiB or 1GiB."),
    click.option("--cpu", "cpu_cores", type=float, metavar="CORES", help="Processor time; 0.5 is half a core."),
    click.option("--processes", type=int, metavar="NUMBER", help="Processes and threads at once."),
    _size("--file-size", "file_size_bytes", "Size of any one file."),
    click.option("--open-files", type=int, metavar="NUMBER", help="Open files of a process."),
    _size("--tmp-size", "tmp_bytes", "Size of /tmp."),
    _size("--output-size", "output_bytes", "Kept of stdout and stderr each."),
)


def limit_options(command: CommandT) -> CommandT:
    """The options of a command, given to it as its keyword arguments; see `limits_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def limits_of(options: dict[str, Any]) -> ResourceLimits | None:
    """The limits of those keyword arguments; None when none was given. Raises `InvalidInputError`."""
    limits = ResourceLimits(**{name: options[name] for name in _NAMES})
    limits.require_usable()
    return limits if limits.given() else None
