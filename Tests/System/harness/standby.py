"""A primary and a real standby that follows it, to be promoted and demoted."""

import subprocess

from .pgmq import pgmq_sql
from .postgres import Postgres, execute, program, unprivileged
from .server import run
from .waiting import wait_until

DATABASE = "app"


class Standby(Postgres):
    """A copy of a running server, streaming from it until it is promoted."""

    def __init__(self, primary):
        super().__init__(**primary.settings)
        backup = [program("pg_basebackup"), "--pgdata", str(self.directory / "data")]
        backup += ["--dbname", replication(primary), "--checkpoint", "fast", "--no-sync"]
        backup += ["--wal-method", "stream", "--write-recovery-conf"]
        made = subprocess.run(
            unprivileged() + backup, cwd=self.directory, capture_output=True, text=True
        )
        assert made.returncode == 0, f"pg_basebackup failed:\n{made.stderr}"

    def cut_off(self):
        """Gets nothing from its primary any more: what is committed there is not here."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda: not self.execute("SELECT FROM pg_stat_wal_receiver"), "the end of streaming"
        )

    def catch_up_with(self, primary):
        """Returns when all that is committed there can be read here."""
        ((position,),) = primary.execute("SELECT pg_current_wal_insert_lsn()")
        wait_until(
            lambda: self.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position)
            == [(True,)],
            "the standby has caught up",
        )

    def promote(self):
        """Returns when it takes writes."""
        assert self.execute("SELECT pg_promote()") == [(True,)]


class Pair:
    """A primary with a database of both stores, and its standby."""

    def __init__(self):
        self.primary = Postgres(wal_keep_size="128MB")
        self.standby = None

    def __enter__(self):
        try:
            self.primary.create()
            self.primary.start()
            self.primary.execute(f"CREATE DATABASE {DATABASE}")
            execute(self.primary.conninfo(DATABASE), pgmq_sql())
            installed = run("install", "--database", self.primary.conninfo(DATABASE))
            assert installed.returncode == 0, installed.stderr.decode()
            self.standby = Standby(self.primary)
            self.standby.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in (self.standby, self.primary):
            if server:
                server.remove()


def demote(old, new):
    """Starts a primary that was stopped again, as a standby of the new one."""
    (old.directory / "data" / "standby.signal").touch()
    with open(old.directory / "data" / "postgresql.auto.conf", "a") as settings:
        settings.write(f"\nprimary_conninfo = '{replication(new)}'\n")
    old.start()
    assert old.execute("SELECT pg_is_in_recovery()") == [(True,)]


def replication(primary):
    """How a standby connects to `primary`."""
    return f"host=127.0.0.1 port={primary.port} user=postgres"
