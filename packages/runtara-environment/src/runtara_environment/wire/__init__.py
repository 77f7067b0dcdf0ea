"""The environment port: messages of package `runtara.environment` to the verbs of the service."""
