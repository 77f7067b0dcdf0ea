"""Which user of the host each tenant's programs run as: never one that another tenant has.

A tenant gets the first number that nobody has, looking from the one that is made of its id. Who has a number is a file
of that name, which appears as a whole or not at all and is never changed. So whoever dies in the middle has assigned
the number or has not, and a tenant whose number was assigned and not used finds it again. Several processes may assign
at once. Numbers are not given back: files of a tenant may still belong to its user.

The files are in the data directory, with all that belongs to these users, and go with it. Environments of several data
directories on one host are kept apart when they share another directory for this (RUNTARA_GUEST_USERS_DIR).
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from runtara_core.guest_users import GuestUser, GuestUsers
from runtara_sdk.errors import RuntaraError
from runtara_sdk.settings import EnvironmentReader

from runtara_environment.owner import read_host_id
from runtara_environment.plain_files import read_plain_file
from runtara_environment.registry.durable_files import flush_directory
from runtara_environment.runner import RunnerHost

DIRECTORY_VARIABLE = "RUNTARA_GUEST_USERS_DIR"
DIRECTORY = ".guest-users"
"""Below the data directory; no tenant's directory is called so, as names with a dot are hashed."""

MOST_LOOKS = 100_000
"""How many numbers are looked at for one tenant."""

_MAX_BYTES = 4_096


class NoUserLeftError(RuntaraError):
    """Every user that a tenant may get is another tenant's."""

    code = "NO_USER_LEFT"
    retryable = True


@dataclass(frozen=True, slots=True)
class TenantUsers:
    """The users of the tenants of one data directory.

    Attributes:
        users: which there are; where it is one for all, nothing is assigned.
        directory: of the files; None where no data directory is known, and then the number is made of the id alone.
        label: tells data directories apart that share `directory`.
    """

    users: GuestUsers
    directory: Path | None = None
    label: str = ""

    @classmethod
    def of_host(cls, users: GuestUsers, host: RunnerHost | None) -> TenantUsers:
        """Those of an environment. Raises `ConfigurationError` when its data directory cannot be used."""
        if host is None:
            return cls(users)
        shared = EnvironmentReader().optional_text(DIRECTORY_VARIABLE)
        directory = host.data_directory / DIRECTORY if shared is None else Path(shared).absolute()
        return cls(users, directory, read_host_id(host.data_directory))

    def of_tenant(self, tenant_id: str) -> GuestUser:
        """The user of a tenant, assigned when it has none. Blocks.

        Raises `NoUserLeftError`, and `OSError` when the assignment cannot be kept.
        """
        preferred = self.users.of_tenant(tenant_id)
        if self.directory is None or self.users.is_one_for_all:
            return preferred
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner = f"{self.label}\n{tenant_id}".encode()
        numbers = self.users.users
        first = numbers.index(preferred.user_id)
        for step in range(min(len(numbers), MOST_LOOKS)):
            number = numbers[(first + step) % len(numbers)]
            if self._owner_of(self.directory / str(number), owner) == owner:
                return GuestUser(number, number)
        raise NoUserLeftError(
            f"tenant {tenant_id} gets no user of its own: {min(len(numbers), MOST_LOOKS)} of the {len(numbers)} users "
            f"from {numbers[0]} on are those of other tenants, as {self.directory} tells; set RUNTARA_NATIVE_USER to a "
            "larger range"
        )

    @staticmethod
    def _owner_of(path: Path, owner: bytes) -> bytes:
        """Who has a number: `owner` when nobody had it."""
        try:
            return read_plain_file(path, _MAX_BYTES)
        except FileNotFoundError:
            pass
        unfinished = path.with_name(f".{uuid.uuid4().hex}")
        try:
            with unfinished.open("xb") as file:
                file.write(owner)
                file.flush()
                os.fsync(file.fileno())
            os.link(unfinished, path)  # whole or not at all, and never over another's
            flush_directory(path.parent)
        except FileExistsError:
            pass  # somebody was faster
        finally:
            unfinished.unlink(missing_ok=True)  # half-written, too, on a full disk
        return read_plain_file(path, _MAX_BYTES)
