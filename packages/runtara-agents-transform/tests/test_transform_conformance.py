from runtara_agents_transform import transform_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestTransformAgent(AgentConformanceSuite):
    agent = transform_agent
