"""A process that the benchmark starts, watches, and stops by its pid."""

import os
import signal
import subprocess

from .lines import Lines

STOP_SECONDS = 15
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """One child; `lines` is what it says on stderr."""

    def __init__(
        self, name, arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more
    ):
        self.name = name
        self.child = subprocess.Popen(
            arguments, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, **more
        )
        self.pid = self.child.pid
        self.lines = Lines(self.child.stderr, name)

    def stop(self, number=signal.SIGTERM):
        """Asks it to end, and kills it when it does not."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def processor_seconds(pid):
    """What all threads of `pid` have run so far; exact to the nanosecond while they sleep."""
    return sum(thread_seconds(pid).values())


def thread_seconds(pid):
    """The same of each thread."""
    seconds = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            seconds[int(thread)] = int(file.read().split()[0]) / 1e9
    return seconds


def user_and_system_seconds(pid):
    """The same in user space and in the kernel, in ticks of mostly 10 ms."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS
