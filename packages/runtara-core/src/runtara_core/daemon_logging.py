"""Logs of the daemons: one line a record on standard error."""

from __future__ import annotations

import logging
import time

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.redaction import redact_text
from runtara_sdk.settings import EnvironmentReader

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class _RedactingFormatter(logging.Formatter):
    """Keeps tokens and keys out of the log, whoever put them into a message."""

    def format(self, record: logging.LogRecord) -> str:
        return redact_text(super().format(record))


def configure_logging(reader: EnvironmentReader | None = None, *, default_level: str = "INFO") -> None:
    """Log to standard error from the level of RUNTARA_LOG on (debug, info, warning, error)."""
    level = (reader or EnvironmentReader()).text("RUNTARA_LOG", default_level).upper()
    if level not in _LEVELS:
        raise ConfigurationError(f"RUNTARA_LOG={level.lower()!r} is not a level: use debug, info, warning or error")
    formatter = _RedactingFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # qh3 warns of every connection that a client closes.
    logging.getLogger("quic").setLevel(logging.ERROR)
    for name in ("runtara_core", "runtara_environment", "runtara_sdk"):
        logging.getLogger(name).setLevel(level)
