"""Instance SDK, management SDK, agent API, wire protocol and the `runtara` command of the Runtara durable execution platform."""

__version__ = "0.1.0"
