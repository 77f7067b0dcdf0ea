"""The hosts that share a database: who is there, what each holds, and what each is asked to do."""

from runtara_environment.hosts.host_table import HostIdentity, HostTable
from runtara_environment.hosts.models import Host, HostState

__all__ = ["Host", "HostIdentity", "HostState", "HostTable"]
