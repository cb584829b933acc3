"""One thread of a process that does nothing for a while, as if something held it up."""

import contextlib
import ctypes
import os

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
ALL_THREADS = 0x40000000  # __WALL: also for what is not the first thread of its process.


def threads(pid):
    """Its threads, the first one first and the others in the order of their making."""
    ids = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    return sorted(ids, key=lambda id: (id != pid, id))


@contextlib.contextmanager
def held(thread):
    """The thread stands still, as under a debugger; the others of its process go on."""
    _ptrace(PTRACE_ATTACH, thread)
    os.waitpid(thread, ALL_THREADS)
    try:
        yield
    finally:
        _ptrace(PTRACE_DETACH, thread)


def _ptrace(request, thread):
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    call.restype = ctypes.c_long
    if call(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
