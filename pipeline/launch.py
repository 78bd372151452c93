"""A program that becomes another one after tying its life to its parent's and limiting it.

    python -I -S launch.py PARENT_PID ADDRESS_SPACE_BYTES CPU_SECONDS FILE_BYTES PROGRAM ARGUMENT...

The kernel kills the program when the thread that started it ends, so a worker's kill -9 leaves no
encoder behind. Doing this after the exec, in a process of its own, keeps clear of what is unsafe
between fork and exec of a process with threads (`preexec_fn`). It imports nothing of ours.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the program; exits with 125 when the parent has already gone."""
    parent, address_space, cpu_seconds, file_bytes = map(int, arguments[:4])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the line above
        sys.exit(125)
    for limit, value in (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (ceiling, ceiling))
    os.execv(arguments[4], arguments[4:])  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main(sys.argv[1:])
