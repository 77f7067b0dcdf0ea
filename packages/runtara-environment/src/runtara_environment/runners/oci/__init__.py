"""The OCI runner: programs in containers of `runc` or `crun`.

    daemon -> shim -> `runc run` -> container_init (process 1 of the container) -> the program

`probe` finds a runtime that works here, `bundle` says what a container is, `interpreter` and `host_files` what it sees
of the host, `seccomp` which system calls it may make, `cgroup` bounds and measures it, also where systemd makes the
groups (`systemd_units`), and `runner` launches.
"""
