"""The system calls that a program in a container may make.

The list allows what CPython, its standard library and compiled programs need, and what a C library tries first and can
do without. Everything else fails with EPERM. That refuses mounts, namespaces, modules, tracing of other processes, BPF,
performance counters, io_uring, keyrings, clocks and reboots, and calls that future kernels may add.
"""

from __future__ import annotations

import errno
from typing import Any

_FILES = """
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
    fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr
    fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch
    inotify_init inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr
    lseek lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile
    setxattr splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat
    utime utimensat utimes write writev
"""
_MEMORY = """
    brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall
    munmap pkey_alloc pkey_free pkey_mprotect
"""
_PROCESSES = """
    arch_prctl capget capset execve execveat exit exit_group fork futex futex_waitv get_robust_list get_thread_area
    getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit
    getrusage getsid gettid getuid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal prctl prlimit64
    restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups
    setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sigaltstack tgkill times tkill
    uname vfork wait4 waitid
"""
_WAITING = """
    alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
    epoll_wait eventfd eventfd2 getitimer getrandom gettimeofday nanosleep pipe pipe2 poll ppoll pselect6 select
    setitimer signalfd signalfd4 sysinfo time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime
"""
_SOCKETS = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg
    sendto setsockopt shutdown socketpair
"""
_INTERPROCESS = """
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget
    semop semtimedop shmat shmctl shmdt shmget
"""

_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""

_SOCKET_FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET and AF_INET6."""
_NETLINK_FAMILY = 16
_NETLINK_ROUTE = 0
"""getaddrinfo asks this for the addresses of the host; other netlink protocols change or observe the system."""


def allowed_calls() -> list[str]:
    """The calls that are allowed whatever their arguments are, sorted."""
    return sorted(" ".join((_FILES, _MEMORY, _PROCESSES, _WAITING, _SOCKETS, _INTERPROCESS)).split())


def seccomp_profile() -> dict[str, Any]:
    """The member `linux.seccomp` of a container's configuration."""
    allow = "SCMP_ACT_ALLOW"
    no_namespaces = [{"index": 0, "value": _NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    netlink = [
        {"index": 0, "value": _NETLINK_FAMILY, "op": "SCMP_CMP_EQ"},
        {"index": 2, "value": _NETLINK_ROUTE, "op": "SCMP_CMP_EQ"},
    ]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": allowed_calls(), "action": allow},
            {"names": ["clone"], "action": allow, "args": no_namespaces},
            # Its flags are in memory, where a filter cannot look: the C library uses `clone` when there is no clone3.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            *(
                {
                    "names": ["socket"],
                    "action": allow,
                    "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}],
                }
                for family in _SOCKET_FAMILIES
            ),
            {"names": ["socket"], "action": allow, "args": netlink},
        ],
    }
