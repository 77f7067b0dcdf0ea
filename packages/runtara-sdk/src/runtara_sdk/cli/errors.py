"""How commands end: errors take one line on standard error and an exit code, never a traceback.

Exit codes: 1 for a refusal or failure, 2 for wrong usage, bad input or bad configuration, 130 after Ctrl-C.
RUNTARA_TRACEBACK=1 lets exceptions through, to see where they come from.
"""

from __future__ import annotations

import os
import sys

import click

from runtara_sdk.errors import (
    VIOLATIONS_IN_MESSAGE,
    ConfigurationError,
    InputRefusedError,
    InvalidInputError,
    RuntaraError,
)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run_program(command: click.Command) -> None:
    """Run a command as the main program; never returns normally."""
    sys.exit(_exit_code(command))


def print_error(message: str) -> None:
    """An error on standard error. Further lines of a message are details of the first."""
    click.echo(f"error: {message}", err=True)


def _print_violations(error: InputRefusedError) -> None:
    """The violations that the message has no room for, a line each."""
    if error.violation_count <= VIOLATIONS_IN_MESSAGE:
        return
    for each in error.violations[VIOLATIONS_IN_MESSAGE:]:
        click.echo(f"  {each['path']} {each['message']}", err=True)
    if (rest := error.violation_count - len(error.violations)) > 0:
        click.echo(f"  and {rest} more", err=True)


def _exit_code(command: click.Command) -> int:
    if os.environ.get("RUNTARA_TRACEBACK") == "1":
        result = command.main(standalone_mode=False)
        return result if isinstance(result, int) else 0
    try:
        result = command.main(standalone_mode=False)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx is not None else ""
        print_error(f"{error.format_message()}{hint}")
        return EXIT_USAGE
    except click.ClickException as error:
        print_error(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print_error("interrupted")
        return EXIT_INTERRUPTED
    except InputRefusedError as error:
        print_error(error.message)
        _print_violations(error)
        return EXIT_USAGE
    except (InvalidInputError, ConfigurationError) as error:
        print_error(error.message)
        return EXIT_USAGE
    except RuntaraError as error:
        print_error(error.message)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader has gone; the rest of the output has no place to go, nor has a complaint about it.
        sys.stdout = None  # so that nothing is flushed at exit
        return EXIT_FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print_error(f"{where}{error.strerror or error}")
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        print_error(f"unexpected {type(error).__name__}: {error} (RUNTARA_TRACEBACK=1 shows where)")
        return EXIT_FAILED
    # Without standalone mode click hands on what ctx.exit() was given.
    return result if isinstance(result, int) else 0
