"""nginx with nchan, from Debian's packages: one worker, messages in its memory, no access log."""

import os
import pathlib
import resource
import shutil
import socket
import subprocess
import tempfile
import time

from driver.debian import unpacked
from driver.process import Process

PACKAGES = ("nginx", "libnginx-mod-nchan")
STATE_DIRECTORY = pathlib.Path("/var/lib/nginx")
START_SECONDS = 10
# The buffer holds more than a burst, so that nothing is lost; the publisher's connection stays open.
CONFIGURATION = """
daemon off;
user {user};
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {directory}/pid;
error_log stderr warn;
load_module {root}/usr/lib/nginx/modules/ngx_nchan_module.so;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  nchan_message_buffer_length 1000;
  nchan_message_timeout 5m;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/publish/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; }}
    location ~ ^/subscribe/(.+)$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Peer:
    """One nginx. When it has subscribed a connection, it says no more than the head of its answer."""

    title = "nchan"
    ready = "head"

    def __init__(self, tools):
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix="millstream-nchan-"))
        self._port = _free_port()
        root = unpacked(tools, PACKAGES)
        _make_state_directory()
        self._process = Process("nginx", self._command(root))
        try:
            self._wait_until_it_listens()
            self.pid = _only_child(self._process.pid)
            self.publisher = Publisher(self._port)
        except BaseException:
            self.stop()
            raise

    def url(self, stream):
        """Where to read a stream."""
        return f"http://127.0.0.1:{self._port}/subscribe/{stream}"

    def stop(self):
        """Ends master and worker, and removes their files."""
        self._process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _command(self, root):
        text = CONFIGURATION.format(
            directory=self._directory, root=root, port=self._port,
            user="root" if os.geteuid() == 0 else "nobody",
            descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        )
        (self._directory / "nginx.conf").write_text(text)
        program = str(root / "usr/sbin/nginx")
        return [program, "-p", str(self._directory), "-c", str(self._directory / "nginx.conf")]

    def _wait_until_it_listens(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._port), 1).close()
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self._process.child.poll() is not None:
                    # Ends with what it said.
                    self._process.lines.wait_for("^never$", 0)
                time.sleep(0.05)


class Publisher:
    """One connection that stays open. The requests of a burst are written at once, one behind the other,
    and answered by and by: nginx reads them as fast as it gets them done."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")
        self._number = 0

    def prepare(self, _stream):
        """A channel is there when somebody asks for it."""

    def publish(self, stream, count=1, size=64):
        """So many messages; returns when all are accepted. Behind the time stands a message's number, by
        which the load client checks the order: ids of nchan are no numbers."""
        self._socket.sendall(b"".join(self._request(stream, size) for _ in range(count)))
        for _ in range(count):
            self._read_answer()

    def _request(self, stream, size):
        self._number += 1
        body = f"t={time.time_ns()} n={self._number} ".ljust(size, "x")
        head = f"POST /publish/{stream} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        return (head + body).encode()

    def _read_answer(self):
        status = self._answers.readline()
        if status.split()[1:2] not in ([b"200"], [b"201"], [b"202"]):
            raise RuntimeError(f"nchan did not take a message: {status!r}")
        length = 0
        while (line := self._answers.readline()) not in (b"\r\n", b""):
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        self._answers.read(length)

    def close(self):
        """Ends the connection."""
        self._socket.close()


def _make_state_directory():
    """nginx is told directories of ours, but with nchan's module it also makes one in that which it was
    built with, and ends when it cannot."""
    if STATE_DIRECTORY.exists():
        return
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    make = ["install", "-d", "-o", str(os.geteuid()), str(STATE_DIRECTORY)]
    subprocess.run([*as_root, *make], check=True)


def _only_child(pid):
    """The worker: the master neither accepts nor sends."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
        if len(children) == 1:
            return int(children[0])
        time.sleep(0.05)
    raise TimeoutError(f"nginx has {len(children)} workers")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
