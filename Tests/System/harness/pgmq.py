"""A PGMQ queue as an application of pgbus fills it."""

import json
import pathlib
import re

import psycopg

from .waiting import wait_until

SQL_FILE = pathlib.Path(__file__).resolve().parents[3] / ".build-tools/pgmq.sql"


def pgmq_sql():
    """All of PGMQ, as it is installed without an extension."""
    assert SQL_FILE.exists(), f"{SQL_FILE} is missing: run Tests/setup.sh"
    return SQL_FILE.read_text()


def queue_name(stream, prefix="pgbus"):
    """The queue of a stream (the wire reference, "The queue tables")."""
    name = f"{prefix}_{stream}"
    if re.fullmatch(r"[A-Za-z0-9_]+", name):
        return name
    name = re.sub(r"[^A-Za-z0-9_]", "", re.sub(r"[-.:]", "_", name))
    return re.sub(r"_+", "_", name).strip("_")


class Queue:
    """The queue of `stream`, and a session of its own to fill it, in autocommit."""

    def __init__(self, database, stream):
        self.name = queue_name(stream)
        self.table = f"q_{self.name.lower()}"
        self.session = psycopg.connect(database, autocommit=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends its session."""
        self.session.close()

    def create(self, throttle_ms=0):
        """The tables, and the trigger as pgbus sets it; `throttle_ms` None: no trigger."""
        self.session.execute("SELECT pgmq.create(%s)", [self.name])
        if throttle_ms is not None:
            self.session.execute(
                "SELECT pgmq.enable_notify_insert(%s, %s)", [self.name, throttle_ms]
            )
        return self

    def send(self, html, **rest):
        """One broadcast; returns its id."""
        return self.send_message({"html": html} | rest)

    def send_message(self, message):
        """Any JSON as a message; returns its id."""
        return self.send_to(self.session, message)

    def send_to(self, session, message):
        """The same in another session, and so in its transaction."""
        row = session.execute(
            "SELECT pgmq.send(%s, %s::jsonb)", [self.name, json.dumps(message)]
        ).fetchone()
        return row[0]

    def send_many(self, htmls):
        """All in one transaction, by one statement; returns their ids."""
        messages = [json.dumps({"html": html}) for html in htmls]
        rows = self.session.execute(
            "SELECT pgmq.send_batch(%s, %s::jsonb[])", [self.name, messages]
        ).fetchall()
        return [id for (id,) in rows]

    def archive(self, *ids):
        """Moves messages to the archive."""
        self.session.execute("SELECT pgmq.archive(%s, %s::bigint[])", [self.name, list(ids)])

    def purge(self):
        """Removes all messages that are not archived; the ids go on."""
        self.session.execute("SELECT pgmq.purge_queue(%s)", [self.name])

    def continue_ids_at(self, id):
        """The next message gets this id."""
        self.session.execute(
            f'ALTER TABLE pgmq."{self.table}" ALTER COLUMN msg_id RESTART WITH {int(id)}'
        )

    def notify(self, payload, channel=None):
        """An ephemeral broadcast: a notification with a payload, and no row."""
        channel = channel or f"pgmq.q_{self.name}.INSERT"
        self.session.execute("SELECT pg_notify(%s, %s)", [channel, payload])

    def notify_until_heard(self, client):
        """Returns when ephemeral broadcasts of this queue reach `client`.

        The connected frame does not say that the LISTEN of the stream has taken yet, and what is
        never stored is for who listens now.
        """
        sent = 0

        def heard():
            nonlocal sent
            self.notify(json.dumps({"html": f"probe {sent}"}))
            sent += 1
            return client.has_block(limit=0.2)

        wait_until(heard, "an ephemeral broadcast")
        client.expect(lambda block: block.data == f"probe {sent - 1}", "last probe")
