"""A real PgBouncer in front of a Postgres, pooling transactions."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import psycopg

from .ports import free_port
from .postgres import unprivileged
from .waiting import wait_until


class PgBouncer:
    """Its port takes the place of the server's; gone at the end of the `with`."""

    def __init__(self, postgres_port, pool_mode="transaction"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millstream-pgbouncer-"))
        self.port = free_port()
        (self.directory / "users.txt").write_text('"postgres" ""\n')
        (self.directory / "pgbouncer.ini").write_text(
            f"""[databases]
* = host=127.0.0.1 port={postgres_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {self.directory}/users.txt
pool_mode = {pool_mode}
default_pool_size = 2
max_client_conn = 200
server_login_retry = 0.2
ignore_startup_parameters = extra_float_digits
"""
        )
        if os.geteuid() == 0:
            for path in (self.directory, *self.directory.iterdir()):
                shutil.chown(path, "postgres", "postgres")

    def __enter__(self):
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        assert os.path.exists(program), "pgbouncer is not installed: run Tests/setup.sh"
        self.log = self.directory / "pgbouncer.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), program, str(self.directory / "pgbouncer.ini")],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        wait_until(self._takes_connections, f"PgBouncer takes connections, see {self.log}")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(timeout=60)
        shutil.rmtree(self.directory)

    def conninfo(self, database):
        """How a client connects to `database` through it."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"

    def _takes_connections(self):
        assert self.process.poll() is None, f"PgBouncer ended:\n{self.log.read_text()}"
        try:
            psycopg.connect(self.conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True
