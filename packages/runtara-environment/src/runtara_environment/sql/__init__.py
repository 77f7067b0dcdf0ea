"""The environment's named queries."""
