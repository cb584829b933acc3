"""Connections to Postgres that are open and dead: nothing comes, and nothing says so. Clients stay,
the health check finds out, and then everything arrives once and in order."""

import contextlib
import time

import pytest

from harness.crowd import Crowd
from harness.native import Publisher
from harness.pgmq import Queue
from harness.proxy import Proxy
from harness.server import native_path
from harness.waiting import wait_until

HEALTH_CHECK_SECONDS = 0.5
# How long an idle session is left alone, then how long its sign of life may take (a second at least),
# then how long at most until the first attempt to log in.
BOUND_SECONDS = HEALTH_CHECK_SECONDS + 1 + 0.5
GRACE_SECONDS = 8
NEVER = "1h"


class Site:
    """A server whose two sessions go through a proxy each, and both stores."""

    def __init__(self, serve, postgres, database, proxies, *flags):
        self.reads, self.listens = proxies
        name = database.rpartition("dbname=")[2]

        def through(proxy):
            return f"host=127.0.0.1 port={proxy.port} user=postgres dbname={name}"

        self.postgres, self.name = postgres, name
        self.queue = Queue(database, "chat").create()
        self.native = Publisher(database, "chat")
        self.server = serve(
            through(self.reads), "--listen-database", through(self.listens),
            "--health-check", f"{int(HEALTH_CHECK_SECONDS * 1000)}ms",
            "--heartbeat", "200ms", *flags,
        )
        wait_until(lambda: self.reads.open_count and self.listens.open_count, "the sessions")

    def wait_until_quiet(self, looks=False):
        """Until nothing is asked for the moment, with `looks` because one has just been answered. A session that dies in
        the middle of an answer is another thing: until its time is over, the answer may only be slow."""
        asked = (
            "SELECT state, query_start FROM pg_stat_activity"
            " WHERE datname = %s AND starts_with(application_name, 'millstream')")

        def last():
            states, times = zip(*self.postgres.execute(asked, self.name))
            return set(states) == {"idle"}, max(times)

        _, began = last()

        def is_quiet():
            is_idle, newest = last()
            return is_idle and (newest > began or not looks)

        wait_until(is_quiet, "a quiet moment")

    def send(self, *datas):
        """The same to both stores."""
        for data in datas:
            self.queue.send(data)
            self.native.send(data)

    def subscribers(self, **cursor):
        """Ten clients of each store."""
        clients = [self.server.open("chat", **cursor) for _ in range(10)]
        clients += [self.server.open("chat", path=native_path("chat"), **cursor) for _ in range(10)]
        return Crowd(clients).connected()


@pytest.fixture
def proxies(postgres):
    """One for the session that reads, one for that which listens."""
    with Proxy(postgres.port) as reads, Proxy(postgres.port) as listens:
        yield reads, listens


@pytest.fixture
def site(serve, postgres, full_database, proxies):
    """A site that finds messages by wake-ups alone."""
    yield from _site(serve, postgres, full_database, proxies, "--safety-poll", NEVER)


@pytest.fixture
def polling_site(serve, postgres, full_database, proxies):
    """A site that looks after its streams every second."""
    yield from _site(serve, postgres, full_database, proxies, "--safety-poll", "1s")


def _site(*arguments):
    site = Site(*arguments)
    with contextlib.closing(site.queue), contextlib.closing(site.native):
        yield site


def assert_got(crowd, datas, limit=60):
    """Every client has these messages and no others, in ids that grow, and was told of no gap."""
    crowd.wait(
        lambda client: sum(b.is_broadcast for b in client.stream.blocks) >= len(datas),
        f"{len(datas)} messages",
        limit,
    )
    for client in crowd.clients:
        blocks = client.stream.blocks
        assert not [b.raw for b in blocks if b.event == "pgbus:gap-detected"]
        got = crowd.take(client)
        assert [block.data for block in got] == list(datas)
        numbers = [block.number for block in got]
        assert numbers == sorted(set(numbers))


def wait_for_heartbeats(crowd, count=5):
    """Heartbeats go on, and everybody is still connected."""
    beats = {client: _beats(client) for client in crowd.clients}
    crowd.wait(lambda client: _beats(client) >= beats[client] + count, "heartbeats")
    assert not any(client.stream.is_over for client in crowd.clients)


def _beats(client):
    return sum(block.is_heartbeat for block in client.stream.blocks)


def sessions(site, which):
    """The proxies of the sessions that die."""
    return {
        "reads": [site.reads],
        "listens": [site.listens],
        "both": [site.reads, site.listens],
    }[which]


WHICH = pytest.mark.parametrize("which", ["reads", "listens", "both"])


@WHICH
def test_dead_while_idle(site, which):
    """New connections are well: the health check finds the dead ones out within its bound."""
    with site.subscribers() as crowd:
        site.send("before")
        assert_got(crowd, ["before"])
        site.wait_until_quiet()
        for proxy in sessions(site, which):
            proxy.freeze()
        began = time.monotonic()
        site.send("after")
        assert_got(crowd, ["after"])
        seconds = time.monotonic() - began
        print(f"{which} dead: everything is there after {seconds:.2f} s")
        assert seconds < BOUND_SECONDS + GRACE_SECONDS
        wait_for_heartbeats(crowd)
        site.send("live again")
        assert_got(crowd, ["live again"], limit=5)


@WHICH
def test_dead_with_looks_under_way(polling_site, which):
    """Looks are asked for all the time; a question that hangs does not hide that nothing comes."""
    site = polling_site
    with site.subscribers() as crowd:
        site.send("before")
        assert_got(crowd, ["before"])
        site.wait_until_quiet(looks=True)
        for proxy in sessions(site, which):
            proxy.freeze()
        began = time.monotonic()
        site.send("after")
        assert_got(crowd, ["after"])
        assert time.monotonic() - began < BOUND_SECONDS + GRACE_SECONDS


@WHICH
def test_dead_network(polling_site, which):
    """Attempts to log in hang, too. Clients get heartbeats all the while, then everything."""
    site = polling_site
    with site.subscribers() as crowd:
        site.send("before")
        assert_got(crowd, ["before"])
        site.wait_until_quiet(looks=True)
        for proxy in sessions(site, which):
            proxy.go_dead()
        attempts = [(proxy, proxy.accepted) for proxy in sessions(site, which)]
        for proxy, accepted in attempts:
            wait_until(lambda: proxy.accepted > accepted, "an attempt to log in")
        texts = [f"meanwhile {number}" for number in range(20)]
        site.send(*texts)
        wait_for_heartbeats(crowd)
        for proxy in sessions(site, which):
            proxy.come_alive()
        assert_got(crowd, texts)
        site.send("live again")
        assert_got(crowd, ["live again"])


@WHICH
def test_dead_for_a_moment(site, which):
    """Shorter than anybody notices: what was held back flows on, and no session is lost."""
    with site.subscribers() as crowd:
        site.send("before")
        assert_got(crowd, ["before"])
        for proxy in sessions(site, which):
            proxy.go_dead()
        site.send("meanwhile")
        for proxy in sessions(site, which):
            proxy.resume()
        assert_got(crowd, ["meanwhile"])


def test_dead_during_a_replay(site):
    """The session that reads dies in the middle of the pages."""
    texts = [f"{number} " + "x" * 500 for number in range(4000)]
    site.queue.send_many(texts)
    site.native.send_many(texts)
    # The answers of a page hold some 250 kB.
    site.reads.freeze_after(1_000_000)
    with site.subscribers(since=0) as crowd:
        crowd.wait(lambda _: site.reads.frozen_count, "the death of the session")
        wait_for_heartbeats(crowd, 1)
        assert_got(crowd, texts)


def test_clients_that_come_while_both_are_dead(polling_site):
    """They are let in, though nobody can say where their stream is."""
    site = polling_site
    site.send("retained")
    for proxy in (site.reads, site.listens):
        proxy.go_dead()
    with site.subscribers(since=0) as crowd:
        wait_for_heartbeats(crowd)
        for proxy in (site.reads, site.listens):
            proxy.come_alive()
        assert_got(crowd, ["retained"])
