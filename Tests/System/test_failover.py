"""A primary is lost and its standby promoted: clients stay, and get all that the new primary has."""

import json

import psycopg
import pytest

from harness.crowd import Crowd
from harness.native import Publisher
from harness.pgbouncer import PgBouncer
from harness.pgmq import Queue
from harness.postgres import execute
from harness.proxy import Proxy
from harness.server import native_path
from harness.standby import DATABASE, Pair, demote
from harness.waiting import wait_until

RECOVERY_SECONDS = 60


@pytest.fixture
def pair():
    """A primary and its standby, of this test alone: a promotion cannot be taken back."""
    with Pair() as pair:
        yield pair


@pytest.fixture
def name(pair):
    """The one port under which the primary is found."""
    with Proxy(pair.primary.port) as name:
        yield name


def conninfo(port, host="127.0.0.1", more=""):
    return f"host={host} port={port} user=postgres dbname={DATABASE} {more}"


class Publishing:
    """Both stores of one server, as an application fills them."""

    def __init__(self, postgres):
        database = postgres.conninfo(DATABASE)
        self.queue, self.native = Queue(database, "chat"), Publisher(database, "chat")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.queue.close()
        self.native.close()

    def send(self, *datas):
        for data in datas:
            self.queue.send(data)
            self.native.send(data)


def stored(postgres):
    """All messages that a server has, in order: of the queue, and of the native stream."""
    database = postgres.conninfo(DATABASE)
    queue = "SELECT msg_id, message->>'html' FROM pgmq.q_pgbus_chat ORDER BY 1"
    native = "SELECT id, data FROM millstream.messages ORDER BY 1"
    return execute(database, queue), execute(database, native)


def subscribers(server, count=10):
    """Clients on the stream `chat` of each store, who want all there is."""
    clients = [server.open("chat", since=0) for _ in range(count)]
    clients += [server.open("chat", since=0, path=native_path("chat")) for _ in range(count)]
    return Crowd(clients).connected()


def assert_got(crowd, expected):
    """What came since the last time is exactly this, at the clients of each store, in order."""
    half = len(crowd.clients) // 2
    wanted = [expected[0]] * half + [expected[1]] * half
    for client, rows in zip(crowd.clients, wanted):
        client.wanted = rows
    crowd.wait(
        lambda client: len(_messages(client)) >= len(client.wanted),
        "all messages",
        RECOVERY_SECONDS,
    )
    for client in crowd.clients:
        assert [(b.number, b.data) for b in _messages(client)] == client.wanted
        assert not [b.raw for b in client.stream.blocks if b.event == "pgbus:gap-detected"]
        client.stream.blocks.clear()


def _messages(client):
    return [block for block in client.stream.blocks if block.is_broadcast]


def since(before, after):
    """What the stores have in `after` and not in `before`."""
    return [rows[len(earlier) :] for earlier, rows in zip(before, after)]


def wait_for_heartbeats(crowd, count=3):
    """Heartbeats go on at every client while Postgres is away."""
    beats = {client: _beats(client) for client in crowd.clients}
    crowd.wait(lambda client: _beats(client) >= beats[client] + count, "heartbeats")
    assert not any(client.stream.is_over for client in crowd.clients)


def _beats(client):
    return sum(block.is_heartbeat for block in client.stream.blocks)


def create_queue(postgres):
    with Queue(postgres.conninfo(DATABASE), "chat") as queue:
        queue.create()


# Under one name


def test_promotion_under_the_same_name(serve, pair, name):
    """A switch-over without loss; the throttle row is lost, so only the looks find PGMQ's messages."""
    create_queue(pair.primary)
    server = serve(conninfo(name.port), "--safety-poll", "1s", "--heartbeat", "200ms")
    with subscribers(server) as crowd:
        with Publishing(pair.primary) as publishing:
            publishing.send(*[f"old {number}" for number in range(40)])
        before = stored(pair.primary)
        assert_got(crowd, before)
        with Publishing(pair.primary) as publishing:
            publishing.send("at the last moment")
        # A fast shutdown waits until the standby has everything.
        pair.primary.stop()
        wait_for_heartbeats(crowd)
        pair.standby.promote()
        with Publishing(pair.standby) as publishing:
            assert not execute(
                pair.standby.conninfo(DATABASE), "SELECT FROM pgmq.notify_insert_throttle"
            )
            publishing.send("before anybody has come back")
            name.switch(pair.standby.port)
            after = stored(pair.standby)
            assert [len(rows) for rows in after] == [42, 42]
            assert_got(crowd, since(before, after))
            publishing.send("live again", "and again")
            assert_got(crowd, since(after, stored(pair.standby)))


def test_standby_is_never_settled_on(serve, pair, name):
    """The name still leads to the old primary, which is a standby now; then to the new one."""
    create_queue(pair.primary)
    server = serve(conninfo(name.port), "--safety-poll", "1s", "--heartbeat", "200ms")
    with subscribers(server) as crowd, Publishing(pair.primary) as publishing:
        publishing.send("old")
        before = stored(pair.primary)
        assert_got(crowd, before)
    with subscribers(server) as crowd:
        assert_got(crowd, before)
        pair.primary.stop()
        pair.standby.promote()
        demote(pair.primary, pair.standby)
        accepted = name.accepted
        wait_until(lambda: name.accepted >= accepted + 6, "attempts at the standby")
        with Publishing(pair.standby) as publishing:
            publishing.send("on the new primary")
        wait_for_heartbeats(crowd)
        assert not any(_messages(client) for client in crowd.clients)
        attempts = set(pair.primary.backends(DATABASE, "millstream listen"))
        wait_until(
            lambda: not attempts & set(pair.primary.backends(DATABASE, "millstream listen")),
            "the end of the attempts that are under way")
        name.switch(pair.standby.port)
        assert_got(crowd, since(before, stored(pair.standby)))


# By several names


@pytest.mark.parametrize("attributes", ["target_session_attrs=read-write", ""])
def test_several_hosts(serve, pair, attributes):
    """The connection string names both; the standby stands first, or the one that is gone."""
    hosts = f"{pair.standby.port},{pair.primary.port}"
    create_queue(pair.primary)
    both = conninfo(hosts, "127.0.0.1,127.0.0.1", attributes)
    server = serve(both, "--safety-poll", "1s", "--heartbeat", "200ms")
    with subscribers(server) as crowd:
        with Publishing(pair.primary) as publishing:
            publishing.send("old")
        before = stored(pair.primary)
        assert_got(crowd, before)
        pair.primary.stop()
        pair.standby.promote()
        with Publishing(pair.standby) as publishing:
            publishing.send("new")
        after = stored(pair.standby)
        assert_got(crowd, since(before, after))
        demote(pair.primary, pair.standby)
        pair.standby.terminate_backends(DATABASE)
        with Publishing(pair.standby) as publishing:
            publishing.send("with the old one back as a standby")
        assert_got(crowd, since(after, stored(pair.standby)))


def test_first_of_several_hosts_is_dead(serve, pair, name):
    """It takes the connection and says nothing: the next attempt begins with the other one."""
    create_queue(pair.primary)
    name.go_dead()
    both = conninfo(f"{name.port},{pair.primary.port}", "127.0.0.1,127.0.0.1")
    server = serve(both, "--safety-poll", "1s", "--heartbeat", "200ms")
    with subscribers(server) as crowd, Publishing(pair.primary) as publishing:
        publishing.send("x")
        assert_got(crowd, stored(pair.primary))


# A pooler, whose session survives the switch


def test_session_that_becomes_one_with_a_standby(serve, pair, name):
    """Clients of a pooler keep their connection while the server behind it is another one."""
    create_queue(pair.primary)
    with PgBouncer(name.port) as pooler:
        server = serve(
            pooler.conninfo(DATABASE), "--safety-poll", "1s", "--heartbeat", "200ms",
            "--health-check", "500ms",
        )
        with subscribers(server) as crowd:
            with Publishing(pair.primary) as publishing:
                publishing.send("old")
            before = stored(pair.primary)
            assert_got(crowd, before)
            pair.standby.catch_up_with(pair.primary)
            pair.primary.stop()
            pair.standby.promote()
            demote(pair.primary, pair.standby)
            with Publishing(pair.standby) as publishing:
                publishing.send("new 1", "new 2")
            server.wait_for_line("a standby", "word of the standby")
            wait_for_heartbeats(crowd)
            name.switch(pair.standby.port)
            assert_got(crowd, since(before, stored(pair.standby)))


# A standby that had not got everything


def lose(pair, name, crowd, lost, kept=5):
    """Clients have `kept` and `lost` messages, of which the promoted standby has the first alone."""
    with Publishing(pair.primary) as publishing:
        publishing.send(*[f"kept {number}" for number in range(kept)])
        assert_got(crowd, stored(pair.primary))
        pair.standby.catch_up_with(pair.primary)
        pair.standby.cut_off()
        publishing.send(*[f"lost {number}" for number in range(lost)])
    before = stored(pair.primary)
    assert_got(crowd, [rows[kept:] for rows in before])
    pair.primary.stop_hard()
    pair.standby.promote()


def blocks_of(crowd, count, index):
    """What a client of the PGMQ store (0) or the native one (-1) has got: at least so many messages."""
    client = crowd.clients[index]
    crowd.wait(
        lambda one: one is not client or len(_messages(client)) >= count, "messages", 20
    )
    return [
        json.loads(block.data) if block.event == "pgbus:gap-detected" else block.data
        for block in client.stream.blocks
        if block.is_broadcast or block.event == "pgbus:gap-detected"
    ]


def test_lost_messages_within_the_sequence(serve, pair, name):
    """PGMQ's sequence is logged 32 ahead: new ids lie above those that were lost, and all is well."""
    create_queue(pair.primary)
    server = serve(conninfo(name.port), "--safety-poll", "1s")
    with subscribers(server, count=1) as crowd:
        lose(pair, name, crowd, lost=10)
        name.switch(pair.standby.port)
        with Publishing(pair.standby) as publishing:
            publishing.send("new 1", "new 2")
        assert blocks_of(crowd, 2, 0) == ["new 1", "new 2"]


def test_lost_messages_beyond_the_sequence(serve, pair, name):
    """The ids have gone back: the clients are told, and get the stream as it is now."""
    create_queue(pair.primary)
    server = serve(conninfo(name.port), "--safety-poll", "1s")
    with subscribers(server, count=1) as crowd:
        lose(pair, name, crowd, lost=60)
        name.switch(pair.standby.port)
        with Publishing(pair.standby) as publishing:
            publishing.send("new 1", "new 2")
        kept = [f"kept {number}" for number in range(5)]
        for index in (0, -1):
            gap, *rest = blocks_of(crowd, 7, index)
            assert gap == {"lastSeenId": 65, "archiveOldestId": 0, "reason": "reset"}
            assert rest == kept + ["new 1", "new 2"]


@pytest.mark.parametrize("index", [0, -1], ids=["pgmq", "native"])
def test_ids_that_were_given_out_again(serve, pair, name, index):
    """The new primary has gone past the clients' position before anybody is back."""
    create_queue(pair.primary)
    server = serve(conninfo(name.port), "--safety-poll", "1s")
    with subscribers(server, count=1) as crowd:
        lose(pair, name, crowd, lost=60)
        news = [f"new {number}" for number in range(100)]
        with Publishing(pair.standby) as publishing:
            publishing.send(*news)
            name.switch(pair.standby.port)
            publishing.send("the last")
        crowd.wait(lambda client: any(b.data == "the last" for b in _messages(client)), "it")
        got = blocks_of(crowd, 1, index)
        missing = [new for new in news if new not in got]
        assert not missing, f"{len(missing)} messages were passed over in silence"
