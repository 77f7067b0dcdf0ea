"""The checks that `runtara_environment.testing.runner_suite` puts together: one module for each promise of a runner."""
