"""The checks that `runtara_sdk.testing.agents` puts together: one module for each promise of an agent."""
