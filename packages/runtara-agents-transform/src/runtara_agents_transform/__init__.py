"""Data transformation agent for Runtara workflows."""

__version__ = "0.1.0"
