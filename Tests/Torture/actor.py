"""A thread that does random things to the database until it is told to stop."""

import random
import threading
import traceback

import psycopg


class Actor(threading.Thread):
    """Calls `act` again and again, with a session that is made anew when it breaks."""

    application_name = "torture"

    def __init__(self, name, seed, conninfo):
        super().__init__(name=name, daemon=True)
        self.random = random.Random(f"{seed} {name}")
        self.conninfo = conninfo
        self.session = None
        self.stopping = threading.Event()
        # What must not happen: it fails the run.
        self.fault = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self._act_once()
        except BaseException:
            self.fault = traceback.format_exc()
        finally:
            self._close()

    def _act_once(self):
        try:
            if self.session is None or self.session.closed:
                self.session = self._connect()
            self.act()
        except psycopg.Error:
            # Whoever has to know what failed has taken note; Postgres may be away.
            self._close()
            self.pause(0.2)

    def act(self):
        """One thing that may fail."""
        raise NotImplementedError

    def pause(self, seconds):
        """Waits, unless it is to stop."""
        self.stopping.wait(seconds)

    def _connect(self):
        session = psycopg.connect(
            self.conninfo,
            autocommit=True,
            connect_timeout=5,
            application_name=self.application_name,
        )
        # Nobody waits so long for a lock that a transaction lasts longer than holes are waited for.
        session.execute("SET lock_timeout = '2s'")
        return session

    def _close(self):
        if self.session is not None:
            self.session.close()
            self.session = None
