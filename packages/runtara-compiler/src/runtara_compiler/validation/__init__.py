"""The rules that a scenario must meet before it is compiled."""
