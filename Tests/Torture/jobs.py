"""Those who work on queues beside the writers: archive, delete, read, drop and make again."""

import psycopg

from actor import Actor
from ledger import COMMITTED, now_us
from streams import QUEUES, RENEWED


def make_queue(session, stream):
    """The queue, if it is not there, and its trigger with its row in the throttle table, which a
    crash empties."""
    there = session.execute("SELECT to_regclass(%s)", [stream.table]).fetchone()[0]
    if not there:
        session.execute("SELECT pgmq.create(%s)", [stream.queue])
    session.execute("SELECT pgmq.enable_notify_insert(%s, %s)", [stream.queue, stream.throttle_ms])


def _committed_of(ledger, stream, newest):
    """Some of the last `newest` messages of `stream` that are there."""
    numbers = range(max(1, len(ledger.messages) - newest), len(ledger.messages))
    messages = (ledger.messages.get(number) for number in numbers)
    return [sent for sent in messages if sent and sent.stream == stream and sent.state == COMMITTED]


class Archiver(Actor):
    """Archives what was just sent, also while it is being read."""

    def __init__(self, seed, conninfo, ledger):
        super().__init__("archiver", seed, conninfo)
        self.ledger = ledger

    def act(self):
        stream = self.random.choice(QUEUES)
        there = _committed_of(self.ledger, stream, 1000)
        chosen = self.random.sample(there, min(len(there), self.random.choice((1, 5, 30))))
        ids = [sent.id for sent in chosen]
        self.session.execute("SELECT pgmq.archive(%s, %s::bigint[])", [stream.queue, ids])
        self.pause(self.random.expovariate(1 / 0.1))


class Consumer(Actor):
    """Reads from queues as PGMQ's consumers do, which locks rows until its transaction ends."""

    def __init__(self, seed, conninfo):
        super().__init__("consumer", seed, conninfo)

    def act(self):
        stream = self.random.choice(QUEUES)
        self.session.execute("BEGIN")
        self.session.execute(
            "SELECT * FROM pgmq.read(%s, 0, %s)", [stream.queue, self.random.randint(1, 50)]
        )
        self.pause(self.random.expovariate(1 / 0.2))
        self.session.execute("COMMIT")
        self.pause(self.random.expovariate(1 / 0.3))


class Deleter(Actor):
    """Deletes what every subscriber of the moment has got, and who comes later may miss."""

    def __init__(self, seed, conninfo, ledger, audience):
        super().__init__("deleter", seed, conninfo)
        self.ledger = ledger
        self.audience = audience
        self.count = 0

    def act(self):
        stream = self.random.choice(QUEUES)
        marked = self._mark(stream)
        if marked:
            self._delete_marked(stream, marked)
        self.pause(self.random.expovariate(1 / 0.3))

    def _mark(self, stream):
        """Marked first, and looked who has it after that: who begins between them may miss it."""
        there = [sent for sent in _committed_of(self.ledger, stream, 5000) if not sent.deleted_us]
        chosen = self.random.sample(there, min(len(there), 20))
        for sent in chosen:
            sent.deleted_us = now_us()
        incarnation, id = self.audience.had_by_all(stream)
        for sent in chosen:
            if sent.incarnation != incarnation or sent.id > id:
                sent.deleted_us = None
        return [sent for sent in chosen if sent.deleted_us]

    def _delete_marked(self, stream, marked):
        with self.session.transaction():
            self.session.execute(f"LOCK TABLE {stream.table} IN ROW EXCLUSIVE MODE")
            now = self.session.execute(
                "SELECT to_regclass(%s)::oid::bigint", [stream.table]
            ).fetchone()[0]
            ids = [sent.id for sent in marked if sent.incarnation == now]
            self.session.execute("SELECT pgmq.delete(%s, %s::bigint[])", [stream.queue, ids])
        self.count += len(ids)


class Renewer(Actor):
    """Drops queues and makes them again, at once or after a while without any."""

    def __init__(self, seed, conninfo):
        super().__init__("renewer", seed, conninfo)
        self.count = 0

    def act(self):
        self.pause(self.random.uniform(2, 12))
        if self.stopping.is_set():
            return
        stream = self.random.choice(RENEWED)
        try:
            self._renew(stream)
            self.count += 1
        except psycopg.errors.LockNotAvailable:
            self.session.execute("ROLLBACK")
            make_queue(self.session, stream)

    def _renew(self, stream):
        at_once = self.random.random() < 0.5
        if at_once:
            self.session.execute("BEGIN")
        self.session.execute("SELECT pgmq.drop_queue(%s)", [stream.queue])
        if not at_once:
            self.pause(self.random.choice((0, 0.1, 1.5)))
        make_queue(self.session, stream)
        if at_once:
            self.session.execute("COMMIT")


class Keeper(Actor):
    """Makes what a crash or a broken renewal has left undone: an operator, after a while."""

    def __init__(self, seed, conninfo):
        super().__init__("keeper", seed, conninfo)

    def act(self):
        self.pause(self.random.uniform(3, 9))
        throttles = "SELECT count(*) FROM pgmq.notify_insert_throttle WHERE queue_name = %s"
        for stream in QUEUES:
            if self.session.execute(throttles, [stream.queue]).fetchone()[0] == 0:
                make_queue(self.session, stream)
