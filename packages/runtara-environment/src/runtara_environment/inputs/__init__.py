"""Inputs of starts: what is accepted, before anything is created."""

from runtara_environment.inputs.input_judge import InputJudge

__all__ = ["InputJudge"]
