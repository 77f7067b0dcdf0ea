"""Native artifacts: a base runtime built once, and one small extension for each workflow.

    closure             which distributions belong into the base, by their declared requirements
    inclusion           what of them stays out
    toolchain           Nuitka and a C compiler in an environment of their own, with a cache of compiled objects
    agent_packages      each agent as one extension, compiled apart and kept by content
    interpreter         CPython as a program that looks nowhere else, and the standard library
    bytecode            everything else, in the form that Python loads
    shared_libraries    what all of it loads
    base                the base runtime: all of the above as one compressed layer
    module              a generated module as one extension, packed as the workflow layer
    artifact            the two layers behind a shell script: one executable file
    library             where all of it is kept: locks, atomic placement, digests

Nuitka runs as a subprocess, unmodified, with a deadline.
"""
