"""Environment daemon of Runtara: images, launches, runners and the management interface."""

__version__ = "0.1.0"
