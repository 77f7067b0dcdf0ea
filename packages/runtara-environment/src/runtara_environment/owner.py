"""Who claims launches: one running environment process on one host.

The name says which host (a random id kept in the data directory, where run directories and processes belong) and which
process, so that another environment on the same host can tell a dead owner at once instead of waiting for its leases.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.errors import ConfigurationError

from runtara_environment.runners.process_identity import ProcessIdentity

_HOST_ID_FILE = "host-id"


@dataclass(frozen=True, slots=True)
class Owner:
    """One environment process; `name` is what is stored with claims."""

    host_id: str
    process: ProcessIdentity
    nonce: str

    @property
    def name(self) -> str:
        """The owner as text."""
        process = self.process
        return f"{self.host_id}/{process.pid}/{process.start_time}/{process.boot_id}/{self.nonce}"

    @classmethod
    def parse(cls, name: str) -> Owner | None:
        """The owner of a name, or None when the name has another form."""
        try:
            host_id, pid, start_time, boot_id, nonce = name.split("/")
            return cls(host_id, ProcessIdentity(int(pid), int(start_time), boot_id), nonce)
        except ValueError:
            return None

    @classmethod
    def of_this_process(cls, data_dir: Path) -> Owner:
        """A new owner for this process; makes the host id of the data directory when it is missing."""
        process = ProcessIdentity.of_pid(os.getpid())
        if process is None:
            raise ConfigurationError("/proc is not readable: the environment needs it to recognise processes")
        return cls(read_host_id(data_dir), process, uuid.uuid4().hex[:12])


def read_host_id(data_dir: Path) -> str:
    """The id of the data directory's host; made on first use."""
    path = data_dir / _HOST_ID_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{_HOST_ID_FILE}.{os.getpid()}")
        if not path.exists():
            temporary.write_text(uuid.uuid4().hex, encoding="ascii")
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f"cannot keep the host id in {path}: {error.strerror}; make the data directory (DATA_DIR) writable"
        ) from error
