"""The program that lists agents and calls one of their capabilities, for a daemon that imports no agents itself.

`program` is what runs in the child process, `messages` is what it and the daemon tell each other, and `single_call` is
the call itself, which `runtara agents test` makes, too. Importing this package loads no agent.
"""
