"""As which users of the host programs run that are not trusted with what the daemons' user owns.

`RUNTARA_NATIVE_USER` says it for plain processes; programs in containers have the users of `GUEST_USERS` always. Core
reads it, too, for its socket serves these users.
"""

from __future__ import annotations

import hashlib
import pwd
import re
from dataclasses import dataclass

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport.local.peer import GUEST_USERS

VARIABLE = "RUNTARA_NATIVE_USER"

AUTO = "auto"
NONE = "none"
PER_TENANT = "per-tenant"

_LAST_USER = 2**32 - 2  # the number after it stands for nobody in system calls
_NUMBER = re.compile(r"\d{1,10}")
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})")


@dataclass(frozen=True, slots=True)
class GuestUser:
    """A user of the host and its group, by their numbers."""

    user_id: int
    group_id: int


@dataclass(frozen=True, slots=True)
class GuestUsers:
    """The users of guests: one for each tenant out of a range, or one for all.

    Attributes:
        users: the numbers of the users.
        group_id: the group of the only user; None where each user has the group of its own number.
        label: how they are called in front of people.
    """

    users: range = GUEST_USERS
    group_id: int | None = None
    label: str = "one for each tenant"

    def of_tenant(self, tenant_id: str) -> GuestUser:
        """The user that is a tenant's unless another tenant has it already: an environment keeps who has which."""
        number = int.from_bytes(hashlib.sha256(tenant_id.encode()).digest()[:8], "big")
        user_id = self.users[number % len(self.users)]
        return GuestUser(user_id, user_id if self.group_id is None else self.group_id)

    @property
    def is_one_for_all(self) -> bool:
        """Whether it is one user for all tenants, whose group need not have its number."""
        return self.group_id is not None

    def __contains__(self, user_id: object) -> bool:
        return user_id in self.users

    @classmethod
    def parse(cls, text: str) -> GuestUsers:
        """The users of `per-tenant`, of a range such as `200000-299999`, of a number, or of a user's name.

        Raises `ConfigurationError` that names the variable.
        """
        if text == PER_TENANT:
            return cls()
        if match := _RANGE.fullmatch(text):
            first, last = (int(number) for number in match.groups())
            if not 0 < first <= last <= _LAST_USER:
                raise ConfigurationError(
                    f"{VARIABLE}={text!r} is no range of users: its two numbers are from 1 to {_LAST_USER}, "
                    "the smaller one first"
                )
            return cls(range(first, last + 1))
        if _NUMBER.fullmatch(text):
            return cls._single(int(text), int(text), text)
        try:
            account = pwd.getpwnam(text)
        except (KeyError, ValueError):
            raise ConfigurationError(
                f"{VARIABLE}={text!r} is no user of this host: set it to a user's name or number, to {PER_TENANT}, "
                f"to a range such as {GUEST_USERS[0]}-{GUEST_USERS[-1]}, or to {NONE}"
            ) from None
        return cls._single(account.pw_uid, account.pw_gid, text)

    @classmethod
    def _single(cls, user_id: int, group_id: int, name: str) -> GuestUsers:
        if not (0 < user_id <= _LAST_USER and group_id > 0):
            raise ConfigurationError(
                f"{VARIABLE}={name!r} is no user for guests: it must be neither root nor in root's group; "
                f"set it to {NONE} to run them as the user of the daemon"
            )
        return cls(range(user_id, user_id + 1), group_id, f"{name} for all")


def wanted_users(reader: EnvironmentReader | None = None) -> GuestUsers | str:
    """What `RUNTARA_NATIVE_USER` says: users, `auto` or `none`. Raises `ConfigurationError`."""
    text = (reader or EnvironmentReader()).text(VARIABLE, AUTO)
    return text if text in (AUTO, NONE) else GuestUsers.parse(text)
