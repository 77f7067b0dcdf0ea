from runtara_agents_sftp import sftp_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestSftpAgent(AgentConformanceSuite):
    agent = sftp_agent
    lazy_imports = ("paramiko", "cryptography", "pluggy")
