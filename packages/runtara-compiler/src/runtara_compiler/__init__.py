"""Scenario compiler of the Runtara durable execution platform: JSON scenario to readable Python to a native binary."""

__version__ = "0.1.0"
