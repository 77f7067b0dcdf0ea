"""Runners that ship with the environment, and the loading of all of them."""
