"""Environment daemon of the Runtara durable execution platform: images, launches, runners and the management interface."""

__version__ = "0.1.0"
