"""{{ cookiecutter.__quoted_description }}"""

__version__ = "0.1.0"
