"""Core daemon of the Runtara durable execution platform: checkpoints, signals, events and sleeps on PostgreSQL or SQLite."""

__version__ = "0.1.0"
