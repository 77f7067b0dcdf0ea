"""What a launched program is given: its variables and its input file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtara_core.models import LaunchClaim
from runtara_sdk.transport.address import is_local, parse_local_address

from runtara_environment.launch_options import LaunchOptions
from runtara_environment.program_variables import LIMIT_VARIABLES

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class CoreAccess:
    """How programs reach core.

    Attributes:
        address: where programs reach core: `host:port` or `unix:///path`.
        ca_file: the authority that signed core's certificate; None stands for the system's authorities.
        server_name: name in that certificate.
        skip_certificate_verification: the documented way out.
        further_addresses: where the same core answers, too.
    """

    address: str
    ca_file: Path | None
    server_name: str = "localhost"
    skip_certificate_verification: bool = False
    further_addresses: frozenset[str] = frozenset()

    def is_reached_at(self, address: object) -> bool:
        """Whether a program that was given `address` reaches core as it is now."""
        return address == self.address or address in self.further_addresses

    def files(self) -> tuple[Path, ...]:
        """The files through which programs reach core: its socket, or the authority of its certificate."""
        socket = (parse_local_address(self.address),) if is_local(self.address) else ()
        return (*socket, *(() if self.ca_file is None else (self.ca_file,)))


def program_path() -> str:
    """The PATH of launched programs: this interpreter and the system's directories."""
    return f"{Path(sys.executable).parent}:{_SYSTEM_PATH}"


def guest_environment(
    claim: LaunchClaim, options: LaunchOptions, core: CoreAccess, run_directory: Path, input_path: Path
) -> Mapping[str, str]:
    """The complete environment of a program; the system's variables win over the caller's."""
    limits = {name: os.environ[name] for name in LIMIT_VARIABLES if name in os.environ}
    variables = {
        **{name: value for name, value in options.env.items() if name not in LIMIT_VARIABLES},
        **limits,
        "PATH": program_path(),
        "HOME": str(run_directory),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "RUNTARA_INSTANCE_ID": claim.instance_id,
        "RUNTARA_TENANT_ID": claim.tenant_id,
        "RUNTARA_LAUNCH_EPOCH": str(claim.epoch),
        "RUNTARA_INSTANCE_TOKEN": claim.token,
        "RUNTARA_SERVER_ADDR": core.address,
        "RUNTARA_SERVER_NAME": core.server_name,
        "RUNTARA_INPUT_PATH": str(input_path),
        "RUNTARA_WORKSPACE_DIR": str(run_directory / "workspace"),
    }
    if core.ca_file is not None:
        variables["RUNTARA_CA_FILE"] = str(core.ca_file)
    if core.skip_certificate_verification:
        variables["RUNTARA_SKIP_CERT_VERIFICATION"] = "true"
    if claim.checkpoint_id is not None:
        variables["RUNTARA_CHECKPOINT_ID"] = claim.checkpoint_id
    return variables
