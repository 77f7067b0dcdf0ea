"""Claiming, launching and watching instances."""
