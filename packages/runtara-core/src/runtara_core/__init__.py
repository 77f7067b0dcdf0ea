"""Core daemon of Runtara: checkpoints, signals, events and sleeps on PostgreSQL or SQLite."""

__version__ = "0.1.0"
