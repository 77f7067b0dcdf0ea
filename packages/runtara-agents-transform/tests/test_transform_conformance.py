from typing import Any, ClassVar

from runtara_agents_transform import transform_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestTransformAgent(AgentConformanceSuite):
    agent = transform_agent
    examples: ClassVar[dict[str, Any]] = {
        "map-fields": {"source_data": {"n": {"f": "Al"}}, "mappings": {"n.f": "first", "x": "y"}},
    }
