"""Whether programs of the native runner get users of their own on this host, and why not."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

from runtara_core.guest_users import AUTO, NONE, VARIABLE, GuestUser, GuestUsers, wanted_users

from runtara_environment.runner import RunnerHost

_logger = logging.getLogger(__name__)

_TRIAL_SECONDS = 10.0
_TRIAL = 'cd "$0" || exit 3; test -x "$1" || exit 4'
_NO_DIRECTORY = 3
_NO_INTERPRETER = 4


class UnusableUserError(Exception):
    """Programs cannot run as the users that were asked for, or nobody can say just now whether they can."""


class _NoUsersHereError(UnusableUserError):
    """This host is made so that programs cannot run as such users."""


def choose_users(host: RunnerHost | None) -> GuestUsers | None:
    """The users of programs; None when they run as the daemon's own. Blocks.

    Users that were asked for are never left out. Without a wish a daemon of root has one for each tenant, if these can
    work here; unless the programs are its operator's own, or nothing is known of the host.

    Raises `UnusableUserError`, and `ConfigurationError` for a variable that means nothing.
    """
    wanted = wanted_users()
    if wanted == NONE:
        return None
    is_root = os.geteuid() == 0
    if isinstance(wanted, GuestUsers):
        if not is_root:
            raise UnusableUserError(f"{VARIABLE}={os.environ.get(VARIABLE)} needs a daemon that runs as root")
        _check(wanted, host, needs_interpreter=False)
        return wanted
    if wanted != AUTO or not is_root or host is None or host.trusts_programs:
        return None
    users = GuestUsers()
    try:
        # Native binaries do without the interpreter. Users for these alone would keep nothing apart: any image that is
        # a Python file would run as root beside them.
        _check(users, host, needs_interpreter=True)
    except _NoUsersHereError as error:
        _logger.warning(
            "programs run as root and can read all that the daemon can, because users of their own cannot work here: "
            "%s; set %s=per-tenant to insist on such users, or %s=none to accept this",
            error,
            VARIABLE,
            VARIABLE,
        )
        return None
    return users


def may_have_users(host: RunnerHost) -> bool:
    """Whether programs are to have users of their own, if these work here. Raises `ConfigurationError`."""
    if os.geteuid() != 0:
        return False
    wanted = wanted_users()
    return isinstance(wanted, GuestUsers) or (wanted == AUTO and not host.trusts_programs)


def _check(users: GuestUsers, host: RunnerHost | None, *, needs_interpreter: bool) -> None:
    """Raise unless a program that runs as such a user gets to what every program needs."""
    user = users.of_tenant("")
    directory = Path("/") if host is None else host.data_directory
    try:
        ended = subprocess.run(  # noqa: S603 - nothing of it comes from outside
            ["/bin/sh", "-c", _TRIAL, str(directory), sys.executable],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user.user_id,
            group=user.group_id,
            extra_groups=[],
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        # In a user namespace without such users. Whatever else fails may work again in a moment, and then programs
        # must not have run as root meanwhile.
        is_lasting = isinstance(error, OSError) and error.errno in (errno.EINVAL, errno.EPERM)
        kind = _NoUsersHereError if is_lasting else UnusableUserError
        raise kind(f"no program can run as user {user.user_id}: {error}") from error
    if ended.returncode == _NO_DIRECTORY:
        raise _NoUsersHereError(_unreachable("the data directory (DATA_DIR)", directory, user))
    if ended.returncode == _NO_INTERPRETER:
        message = _unreachable("the Python of the daemon", Path(sys.executable), user)
        if needs_interpreter:
            raise _NoUsersHereError(message)
        _logger.warning("%s; native binaries run, images that are Python files do not", message)


def _unreachable(what: str, path: Path, user: GuestUser) -> str:
    closed = next((each for each in reversed([*path.resolve().parents]) if not each.stat().st_mode & 0o001), path)
    return f"{what} is {path}, and user {user.user_id} cannot enter {closed}"
