"""The extension module of the agent; everything else is in pyproject.toml."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("acme_checks._mod97", ["src/acme_checks/_mod97.c"])])
