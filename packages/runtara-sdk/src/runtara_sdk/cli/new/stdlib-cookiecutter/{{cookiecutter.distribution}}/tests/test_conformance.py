"""What every agent owes its users, as the SDK checks it."""

from runtara_sdk.testing.agents import AgentConformanceSuite

from {{ cookiecutter.__module }} import {{ cookiecutter.name }}_agent


class TestConformance(AgentConformanceSuite):
    agent = {{ cookiecutter.name }}_agent
    bundle = "{{ cookiecutter.__module }}"
