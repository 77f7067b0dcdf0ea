"""Test suites for those who extend the environment."""
