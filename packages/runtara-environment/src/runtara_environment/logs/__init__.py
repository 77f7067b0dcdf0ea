"""What launched programs write to standard output and standard error, read while they run and afterwards."""

from runtara_environment.logs.instance_logs import InstanceLogs
from runtara_environment.logs.models import LogPiece, LogRequest

__all__ = ["InstanceLogs", "LogPiece", "LogRequest"]
