from runtara_agents_http import http_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestHttpAgent(AgentConformanceSuite):
    agent = http_agent
    lazy_imports = ("httpx", "httpcore", "oauthlib", "urllib.request", "pluggy")
