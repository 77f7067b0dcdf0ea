"""What HTTP calls of launched programs may reach, as the variables say that the HTTP agent reads.

Where an environment has API keys, workflows of others run on its host: then addresses of private networks and of the
host itself are out of their reach, unless the operator lists them. The caller of a start cannot change that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtara_core.security import KeyRing
from runtara_sdk.settings import EnvironmentReader

ALLOWED_NETWORKS_VARIABLE = "RUNTARA_HTTP_ALLOWED_NETWORKS"
PRIVATE_NETWORKS_VARIABLE = "RUNTARA_HTTP_PRIVATE_NETWORKS"


@dataclass(frozen=True, slots=True)
class GuestNetwork:
    """The rule for one environment.

    Attributes:
        keys: the API keys of the environment; None where everybody is at home, as with `runtara run`.
        allowed_networks: what the operator lists, networks and addresses with commas between them.
    """

    keys: KeyRing | None = None
    allowed_networks: str = ""

    @classmethod
    def with_keys(cls, keys: KeyRing) -> GuestNetwork:
        """The rule where keys decide; what is allowed beside it is in RUNTARA_HTTP_ALLOWED_NETWORKS."""
        return cls(keys, EnvironmentReader().text(ALLOWED_NETWORKS_VARIABLE, ""))

    async def variables(self) -> Mapping[str, str]:
        """The variables of a program that is about to be launched."""
        refused = self.keys is not None and await self.keys.is_required()
        return {
            PRIVATE_NETWORKS_VARIABLE: "refused" if refused else "allowed",
            ALLOWED_NETWORKS_VARIABLE: self.allowed_networks,
        }
