"""Native artifacts: a base runtime built once, and one small extension for each workflow.

    closure    which distributions belong into the base, by their declared requirements
    toolchain  Nuitka and a C compiler in an environment of their own, with a cache of compiled objects
    base       the base runtime: interpreter, SDK, agents and what they need, as one compressed layer
    module     a generated module as one extension, packed as the workflow layer
    artifact   the two layers behind a shell script: one executable file
    library    where all of it is kept: locks, atomic placement, digests

Nuitka runs as a subprocess, unmodified, with a deadline.
"""
