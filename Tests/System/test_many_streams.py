"""Many streams on one connection: who each event is of, one cursor that is right for all of them, and
nothing lost, doubled or out of order in any."""

import collections
import functools
import json
import random
import re
import subprocess
import sys
import threading
import time

import pytest

from harness import tokens
from harness.admin import Admin
from harness.application import Application
from harness.article import blocks, command
from harness.manystreams import Event, ManyStreams, path_of
from harness.names import sign
from harness.native import Publisher
from harness.pgmq import Queue
from harness.ports import free_port
from harness.server import is_sanitized
from harness.waiting import wait_until


@pytest.fixture
def publish(native_database):
    """Publishes to any stream of the native store."""
    with Publisher(native_database, "chat") as publisher:

        def publish(stream, *datas, **options):
            publisher.stream = stream
            if len(datas) == 1:
                return publisher.send(datas[0], **options)
            return publisher.send_many(datas)

        publish.session = publisher.session
        publish.notify = lambda stream, data, **options: (
            setattr(publisher, "stream", stream), publisher.notify(data, **options))
        yield publish


def seen(events):
    return [(event.stream, event.data) for event in events]


# What comes


def test_each_event_names_its_stream(native_server, publish):
    with ManyStreams(native_server, "a", "b:1", "c d") as many:
        assert many.streams == [{"name": "a"}, {"name": "b:1"}, {"name": "c d"}]
        assert re.fullmatch(r"[0-9a-f]{16}", many.id)
        publish("c d", "one")
        publish("a", "two", event="greeting")
        publish("b:1", "three\nlines\nof it")
        events = sorted(many.events(3), key=lambda event: event.stream)
    assert seen(events) == [("a", "two"), ("b:1", "three\nlines\nof it"), ("c d", "one")]
    assert [event.event for event in events] == ["greeting", "turbo-stream", "turbo-stream"]
    assert [event.number for event in events] == [1, 1, 1]


def test_queues_of_pgbus(server, pgmq_database):
    with Queue(pgmq_database, "x") as x, Queue(pgmq_database, "y") as y:
        x.create(), y.create()
        x.send("before")
        with ManyStreams(server, ("x", 0), "y", "absent", prefix="/pgbus/streams") as many:
            y.send("now")
            events = sorted(many.events(2), key=lambda event: event.stream)
            assert seen(events) == [("x", "before"), ("y", "now")]
            assert events[0].id == "1"


def test_what_is_ephemeral_has_no_id_of_its_own_and_moves_nothing(native_server, publish):
    with ManyStreams(native_server, "a", "b") as many:
        publish("a", "stored")
        before = many.event()
        publish.notify("b", "typing")
        event = many.event()
        assert (event.stream, event.id, event.data) == ("b", None, "typing")
        assert event.last_event_id.split(" ")[0] == before.last_event_id.split(" ")[0]


def test_who_is_excluded_by_the_one_id_of_the_connection(native_server, publish):
    with ManyStreams(native_server, "a", "b") as many, ManyStreams(native_server, "b") as other:
        publish("b", "not for it", exclude=many.id)
        publish("b", "for all")
        assert many.event().data == "for all"
        assert [event.data for event in other.events(2)] == ["not for it", "for all"]


def test_heartbeats_come_once(serve, native_database):
    server = serve(native_database, "--heartbeat", "200ms")
    with ManyStreams(server, *(f"s{number}" for number in range(50))) as many:
        with server.subscribe("alone", path=f"/streams/{sign('alone')}") as single:
            for _ in range(3):
                single.expect(lambda block: block.is_heartbeat)
        beats = 0
        while many.client.has_block(0.05) and beats < 50:
            beats += many.client.next_block().is_heartbeat
        # Three rounds of fifty, if each stream had its own.
        assert beats < 50


# Where a client goes on


def test_goes_on_in_all_streams_with_what_the_last_event_said(native_server, publish):
    with ManyStreams(native_server, "a", "b", "c") as many:
        publish("a", "a1")
        publish("b", "b1")
        many.events(2)
        last = many.last_event_id
    publish("b", "b2", "b3")
    publish("c", "c1")
    with ManyStreams(native_server, "a", "b", "c", last_event_id=last) as many:
        by_stream = collections.defaultdict(list)
        for event in many.events(3):
            by_stream[event.stream].append(event.data)
        assert by_stream == {"b": ["b2", "b3"], "c": ["c1"]}
        publish("a", "a2")
        assert seen([many.event()]) == [("a", "a2")]


def test_the_opening_is_a_place_to_go_on_from(native_server, publish):
    """Whoever was cut off before the first event has missed nothing either."""
    publish("a", "old")
    with ManyStreams(native_server, "a", "b") as many:
        last = many.last_event_id
    publish("a", "missed")
    with ManyStreams(native_server, "a", "b", last_event_id=last) as many:
        assert seen([many.event()]) == [("a", "missed")]


def test_the_opening_says_where_each_begins(native_server, publish):
    """So that a client can tell it of each by itself, whatever it asks for together the next time."""
    publish("a", "a1", "a2")
    publish("b", "b1", "b2")
    with ManyStreams(native_server, "a", ("b", 1), "c") as many:
        at_a, at_b, at_c = many.positions
        assert at_a.startswith("2-") and at_b.startswith("1-") and at_c == "0"
    publish("a", "a3")
    publish("c", "c1")
    with ManyStreams(native_server, ("a", at_a), ("c", at_c)) as many:
        events = sorted(many.events(2), key=lambda event: event.stream)
        assert seen(events) == [("a", "a3"), ("c", "c1")]
        # As it is in the events.
        assert events[0].id == f"3-{at_a.partition('-')[2]}"


def test_a_cursor_is_right_for_another_selection(native_server, publish):
    """A page whose elements change opens another connection; what it had goes on, the rest begins now."""
    publish("c", "old")
    with ManyStreams(native_server, "a", "b") as many:
        publish("a", "a1")
        many.event()
        cursor = many.last_event_id.split(" ")[0]
    publish("a", "a2")
    publish("b", "b1")
    with ManyStreams(native_server, "c", "b", "a", cursor=cursor) as many:
        assert sorted(seen(many.events(2))) == [("a", "a2"), ("b", "b1")]
        publish("c", "c2")
        assert seen([many.event()]) == [("c", "c2")]


def test_since_wins_over_the_cursor_of_the_query_and_loses_to_last_event_id(native_server, publish):
    """The first is said anew with every request; the other a browser repeats as it first was."""
    with ManyStreams(native_server, "a", "b") as many:
        publish("a", "a1")
        last = many.event().last_event_id
    publish("a", "a2")
    publish("b", "b1")
    with ManyStreams(native_server, ("a", 0), ("b", ""), cursor=last.split(" ")[0]) as many:
        assert sorted(seen(many.events(3))) == [("a", "a1"), ("a", "a2"), ("b", "b1")]
    with ManyStreams(native_server, ("a", 0), "b", last_event_id=last) as many:
        assert sorted(seen(many.events(2))) == [("a", "a2"), ("b", "b1")]


def test_since_belongs_to_the_name_before_it(native_server, publish):
    publish("a", "a1", "a2")
    publish("b", "b1", "b2")
    with ManyStreams(native_server, ("a", 1), "c", ("b", 0)) as many:
        events = many.events(3)
        assert sorted(seen(events)) == [("a", "a2"), ("b", "b1"), ("b", "b2")]


def test_a_stream_that_is_asked_for_twice_comes_once(native_server, publish):
    publish("a", "a1", "a2")
    with ManyStreams(native_server, ("a", 1), "b", ("a", 0)) as many:
        assert many.streams == [{"name": "a"}, {"name": "b"}, {"name": "a"}]
        assert seen(many.events(2)) == [("a", "a1"), ("a", "a2")]
        publish("b", "b1")
        assert seen([many.event()]) == [("b", "b1")]


def test_a_stream_that_was_made_anew(native_server, publish):
    with ManyStreams(native_server, "a", "b") as many:
        publish("a", "a1", "a2")
        publish("b", "b1")
        many.events(3)
        last = many.last_event_id
        publish.session.execute("DELETE FROM millstream.streams WHERE name = 'a'")
        publish("a", "new")
        gap, event = many.events(2)
        assert (gap.event, gap.stream, gap.id) == ("pgbus:gap-detected", "a", None)
        assert json.loads(gap.data)["reason"] == "reset"
        assert (event.stream, event.data, event.number) == ("a", "new", 1)
        anew = many.last_event_id
    with ManyStreams(native_server, "a", "b", last_event_id=last) as many:
        assert [event.event for event in many.events(2)] == ["pgbus:gap-detected", "turbo-stream"]
    publish("a", "newer")
    with ManyStreams(native_server, "a", "b", last_event_id=anew) as many:
        assert seen([many.event()]) == [("a", "newer")]


def test_a_gap_is_told_for_its_stream(server, pgmq_database):
    with Queue(pgmq_database, "x") as x, Queue(pgmq_database, "y") as y:
        x.create(), y.create()
        ids = x.send_many(["1", "2", "3"])
        x.session.execute(f'DELETE FROM pgmq."{x.table}" WHERE msg_id <= %s', [ids[1]])
        with ManyStreams(server, ("x", ids[0]), "y", prefix="/pgbus/streams") as many:
            gap, event = many.events(2)
            assert (gap.event, gap.stream) == ("pgbus:gap-detected", "x")
            assert json.loads(gap.data) == {"lastSeenId": ids[0], "archiveOldestId": ids[2]}
            assert event.number == ids[2]


# Much at once


def test_catches_up_in_all_streams_with_much_to_read(serve, native_database, publish):
    """More than the log keeps, and more than a batch or a page: every event once, in order."""
    server = serve(native_database)
    names = [f"room:{number}" for number in range(20)]
    for name in names:
        publish(name, *[f"{name}/{number} " + "x" * 300 for number in range(1, 1201)])
    with ManyStreams(server, *((name, 0) for name in names)) as many:
        have = collections.defaultdict(int)
        for event in many.events(20 * 1200, limit=120):
            have[event.stream] += 1
            assert event.number == have[event.stream]
            assert event.data.startswith(f"{event.stream}/{event.number} ")
    assert have == {name: 1200 for name in names}


def test_a_message_larger_than_a_batch(native_server, publish):
    large = "y" * 3_000_000
    with ManyStreams(native_server, "a", "b", options={"receive_buffer_bytes": 4096}) as many:
        publish("a", large)
        publish.notify("b", "between")
        events = sorted(many.events(2), key=lambda event: event.stream)
        assert events[0].data == large and seen(events[1:]) == [("b", "between")]
        publish("a", "behind")
        assert seen([many.event()]) == [("a", "behind")]


def test_a_slow_client_costs_a_batch_and_a_page(serve, native_database, publish):
    """It reads nothing while far more than the logs keep goes by, and then reads on: nothing is missing."""
    server = serve(native_database, "--write-deadline", "10m", "--minimum-rate", "0")
    names = [f"n{number}" for number in range(8)]
    many = ManyStreams(server, *names, options={"receive_buffer_bytes": 4096})
    with many, ManyStreams(server, *names) as healthy:
        before = server.resident_bytes()
        for round in range(4):
            for name in names:
                publish(name, *["z" * 2000 for _ in range(300)])
            healthy.events(8 * 300, limit=60)
        grown = server.resident_bytes() - before
        have = collections.defaultdict(int)
        for event in many.events(4 * 8 * 300, limit=120):
            have[event.stream] += 1
            assert event.number == have[event.stream]
    assert have == {name: 1200 for name in names}
    # 19 MB went by. The logs keep 256 KiB each; allocators and pages are the rest.
    # AddressSanitizer keeps what is freed.
    assert is_sanitized() or grown < 16 * 1024 * 1024, grown


def test_256_streams_and_no_more(native_server, publish):
    names = [f"a-name-of-some-length:{number}" for number in range(257)]
    with ManyStreams(native_server, *names[:256]) as many:
        assert len(many.streams) == 256
        publish(names[255], "last")
        event = many.event()
        assert seen([event]) == [(names[255], "last")]
    publish(names[0], "missed")
    with ManyStreams(native_server, *names[:256], last_event_id=event.last_event_id) as many:
        assert seen([many.event()]) == [(names[0], "missed")]
    with native_server.get(path_of(*names)) as client:
        assert client.head.status == 400
        assert b"256" in client.body()


def test_cut_again_and_again_while_much_is_published(serve, native_database):
    """Writers to ten streams; clients that are cut at random bytes and go on with what they had."""
    server = serve(native_database)
    names = [f"r{number}" for number in range(10)]
    count = 300

    def write(name):
        with Publisher(native_database, name) as publisher:
            for number in range(1, count + 1):
                publisher.send(f"{number}" * random.Random(number).randint(1, 200))

    writers = [threading.Thread(target=write, args=[name]) for name in names]
    have = collections.Counter()
    chance = random.Random(7)
    last = ManyStreams(server, *((name, 0) for name in names))
    last.client.close()
    last = last.last_event_id
    for writer in writers:
        writer.start()
    while sum(have.values()) < 10 * count:
        with ManyStreams(server, *names, last_event_id=last) as many:
            for event in many.events(
                min(chance.randint(1, 200), 10 * count - sum(have.values())), limit=60
            ):
                have[event.stream] += 1
                assert event.number == have[event.stream], (event.stream, event.last_event_id)
            last = many.last_event_id
    for writer in writers:
        writer.join()
    assert have == {name: count for name in names}


def test_postgres_restarts(serve, postgres, native_database, publish):
    server = serve(native_database)
    with ManyStreams(server, "a", "b") as many:
        publish("a", "a1")
        many.event()
        postgres.restart()
        with Publisher(native_database, "b") as publisher:
            publisher.send("b1")
            publisher.stream = "a"
            publisher.send("a2")
        assert sorted(seen(many.events(2))) == [("a", "a2"), ("b", "b1")]


def test_the_server_restarts(serve, native_database, publish):
    server = serve(native_database)
    with ManyStreams(server, "a", "b") as many:
        publish("a", "a1")
        many.event()
        server.stop()
        blocks = many.client.read_to_end()
        assert [block.is_goodbye for block in blocks] == [True] and blocks[0].id is None
        last = many.last_event_id
    publish("b", "b1")
    with ManyStreams(serve(native_database), "a", "b", last_event_id=last) as many:
        assert seen([many.event()]) == [("b", "b1")]


# Who may


def test_what_is_refused_is_told_and_takes_nothing_else_along(native_server, publish):
    path = path_of("a") + "&s=forged--00&s=" + sign("b")
    with native_server.get(path) as client:
        block = client.expect(lambda block: block.event == "pgbus:connected")
        entries = json.loads(block.data)["streams"]
        assert entries == [{"name": "a", "id": "0"}, {"status": 404}, {"name": "b", "id": "0"}]
        publish("b", "b1")
        assert Event(client.expect(lambda block: block.is_broadcast)).stream == "b"


@pytest.mark.parametrize(
    "query, status",
    [("", 404), ("?since=1", 404), ("?s=forged", 404), ("?s=%zz", 404), ("?s=", 404),
     (f"?s={sign('a')}&since=x", 400), (f"?s={sign('a')}&cursor=12", 400),
     (f"?s={sign('a')}&cursor=AQ", 200), (f"?s={sign('a')}&cursor=", 200)],
)
def test_requests_that_are_refused_whole(native_server, query, status):
    with native_server.get(f"/streams{query}") as client:
        assert client.head.status == status


def test_a_cursor_that_is_none_of_ours(native_server):
    for text in ("12", "AQ==", "*", "A" * 4000):
        with native_server.get(path_of("a"), f"Last-Event-ID: {text}") as client:
            assert client.head.status == 400, text


def test_tokens_open_plain_names(serve, native_database, publish, tmp_path):
    (tmp_path / "secret").write_text(tokens.SECRET)
    server = serve(native_database, "--jwt-secret-file", str(tmp_path / "secret"))
    wishes = ["room:1", "other", "room:2"]
    fields = [tokens.bearer({"streams": ["room:*"], "labels": ["staff"]})]
    with ManyStreams(server, *wishes, signed=False, fields=fields) as many:
        assert many.streams == [{"name": "room:1"}, {"status": 403}, {"name": "room:2"}]
        publish("room:1", "hidden", visible_to="boss")
        publish("room:2", "shown", visible_to="staff")
        assert seen([many.event()]) == [("room:2", "shown")]


def test_the_application_is_asked_about_each(serve, native_database, publish):
    def answer(path, headers):
        name = headers["X-Millstream-Stream"]
        if name == "no":
            return 403, b""
        labels = {"labels": ["staff"]} if name == "a" else {}
        return 200, json.dumps({"member": "7"} | labels).encode(), "application/json"

    with Application(answer) as application:
        server = serve(native_database, "--authorize-url", application.url)
        with ManyStreams(server, "a", "no", "b") as many:
            assert many.streams == [{"name": "a"}, {"status": 403}, {"name": "b"}]
            publish("b", "not in this stream", visible_to="staff")
            publish("a", "staff only", visible_to="staff")
            publish("b", "for all")
            assert sorted(seen(many.events(2))) == [("a", "staff only"), ("b", "for all")]
        with server.get(path_of("no")) as client:
            assert client.head.status == 403


def test_the_earliest_expiry_ends_the_connection(serve, native_database):
    def answer(path, headers):
        end = int(time.time()) + (2 if headers["X-Millstream-Stream"] == "b" else 3600)
        return 200, json.dumps({"expires_at": end}).encode(), "application/json"

    with Application(answer) as application:
        server = serve(native_database, "--authorize-url", application.url)
        with ManyStreams(server, "a", "b", "c") as many:
            blocks = [block for block in many.client.read_to_end() if not block.is_comment]
            assert [block.event for block in blocks] == ["millstream:expired"]


# Accounts


def test_one_connection_in_every_account(serve, native_database, publish):
    server = serve(
        native_database, "--max-connections", "2", "--refuse-softly", "never", admin="127.0.0.1:0"
    )
    admin = Admin(server)
    with ManyStreams(server, "a", "b", "c"), ManyStreams(server, "d", "e"):
        assert admin.sum("millstream_connections") == 2
        assert admin.sum("millstream_subscriptions") == 5
        with server.get(path_of("f")) as client:
            assert client.head.status == 503
    wait_until(lambda: admin.sum("millstream_connections") == 0, "nobody left")
    assert admin.sum("millstream_subscriptions") == 0
    server.wait_for_line(r"connection ended .*streams=3", "the end")
    server.stop()
    line = server.wait_for_line(r" stopped ", "the last line")
    assert "opened=2" in line and "clientGone=2" in line


def test_nothing_is_left_of_those_that_go_while_they_open(serve, native_database):
    server = serve(native_database)
    descriptors = server.descriptor_count()
    for number in range(30):
        client = server.get(path_of(*(f"s{number}:{index}" for index in range(40))))
        client.reset() if number % 2 else client.close()
    wait_until(lambda: server.descriptor_count() <= descriptors, "all closed")
    with ManyStreams(server, "a") as many:
        assert many.streams == [{"name": "a"}]


# The article


def test_the_client_of_the_article(serve, native_database, publish, tmp_path):
    """It gets everything once, through a restart of the server."""
    (program,) = blocks("Protocol", "python")
    (tmp_path / "follow.py").write_text(program)
    line = command("Protocol", "python3 follow.py")
    assert re.findall(r"millstream sign (\S+)\)", line) == ["room:1", "room:2"]
    listen = f"127.0.0.1:{free_port()}"
    start = functools.partial(
        serve, native_database, "--retry", "100ms", listen=listen, admin="127.0.0.1:0")
    server = start()
    arguments = [listen, sign("room:1"), sign("room:2")]
    follower = subprocess.Popen(
        [sys.executable, tmp_path / "follow.py", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        wait_until_open(server)
        publish("room:1", "first")
        assert follower.stdout.readline() == "room:1 turbo-stream first\n"
        server.stop()
        publish("room:2", "while it was away")
        wait_until_open(start())
        publish("room:1", "second")
        assert follower.stdout.readline() == "room:2 turbo-stream while it was away\n"
        assert follower.stdout.readline() == "room:1 turbo-stream second\n"
    finally:
        follower.kill()
        follower.wait()


def wait_until_open(server):
    admin = Admin(server)
    wait_until(lambda: admin.sum("millstream_connections", state="live") == 1, "the follower")
