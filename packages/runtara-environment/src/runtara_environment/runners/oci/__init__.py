"""The OCI runner: programs in containers of `runc` or `crun`.

    daemon -> shim -> `runc run` -> container_init (process 1 of the container) -> the program

`settings` are its variables, `runtime` finds what makes containers, `bundle` says what a container is, `host_files`
what it sees of the host, `seccomp` which system calls it may make, `pasta` and `network_start` where its network leads.
`cgroup` bounds and measures it, also where systemd makes the groups (`systemd_units`). `launch_files` writes what a
launch reads, `runner` launches, `container_process` follows it to its end, and `outcome` tells how it ended.
"""
