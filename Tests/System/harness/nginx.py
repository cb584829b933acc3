"""A real nginx in front of servers: as it is shipped, with TLS, or as plain as can be."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from .client import Client
from .library import ROOT, call
from .ports import free_port
from .waiting import wait_until

# Unpacked there by Tests/setup.sh: installed, it would run as a service.
PROGRAM = ROOT / ".build-tools/nginx"
SHIPPED = ROOT / "packaging/nginx/millstream.conf"
MAIN = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 200; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""
NAME = "app.example.org"


class Nginx:
    """Runs in the `with` and listens at `address`; what it does is a subclass's `site`."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millstream-nginx-"))
        self.address = ("127.0.0.1", free_port())

    def __enter__(self):
        assert PROGRAM.exists(), f"{PROGRAM} is missing: run Tests/setup.sh"
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "site.conf").write_text(self.site())
        (self.folder / "nginx.conf").write_text(MAIN.format(folder=self.folder, user=user))
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", PROGRAM, "-p", self.folder, "-c", self.folder / "nginx.conf",
             "-e", self.folder / "error.log"],
        )
        wait_until(self._takes_connections, f"nginx takes connections, {self.log()}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder)

    def log(self):
        """What it has complained of."""
        path = self.folder / "error.log"
        return path.read_text() if path.exists() else ""

    def _takes_connections(self):
        assert self.process.poll() is None, f"nginx ended: {self.log()}"
        try:
            Client(self.address).close()
        except ConnectionError:
            return False
        return True


class PlainNginx(Nginx):
    """Passes on to the address of a server, without TLS."""

    def __init__(self, server_address):
        super().__init__()
        if isinstance(server_address, str):
            self.upstream = f"http://unix:{server_address}:"
        else:
            self.upstream = "http://{}:{}".format(*server_address)

    def site(self):
        return f"""
server {{
  listen {self.address[0]}:{self.address[1]};
  location / {{
    proxy_pass {self.upstream};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Request-Id $request_id;
    proxy_read_timeout 1h;
  }}
}}
"""


class ShippedNginx(Nginx):
    """The configuration that is shipped, which terminates TLS; `servers` are what it has behind it."""

    def __init__(self, *servers):
        super().__init__()
        self.servers = servers
        self.certificate = self.folder / "app.crt"
        self._make_certificate()

    def _make_certificate(self):
        call(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
            "-keyout", self.folder / "app.key", "-out", self.certificate,
        )

    def site(self):
        """What is shipped, with addresses and files that are there."""
        upstream = "".join(f"server {host}:{port};" for host, port in (each.address for each in self.servers))
        text = SHIPPED.read_text()
        for shipped, ours in {
            "listen 443 ssl": f"listen 127.0.0.1:{self.address[1]} ssl",
            "  listen [::]:443 ssl http2;\n": "",
            "server 127.0.0.1:8080;": upstream,
            "/etc/nginx/tls/": f"{self.folder}/",
        }.items():
            assert shipped in text, f"{shipped!r} is not in {SHIPPED}"
            text = text.replace(shipped, ours)
        return text
