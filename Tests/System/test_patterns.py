"""Patterns of native streams on one connection: those that there are, and those that come."""

import json
import re
import threading

import psycopg
import pytest

from harness import tokens
from harness.admin import Admin
from harness.application import Application
from harness.manystreams import ManyStreams, Pattern, path_of
from harness.names import SECRET
from harness.native import Publisher
from harness.server import run

ROOMS = Pattern("room:42:*")


@pytest.fixture
def publish(native_database):
    """Publishes one message or many to a stream."""
    with Publisher(native_database, "") as publisher:

        def publish(stream, *datas):
            publisher.stream = stream
            publisher.send_many(datas)

        def notify(stream, data):
            publisher.stream = stream
            publisher.notify(data)

        publish.notify, publish.session = notify, publisher.session
        yield publish


def seen(events):
    return [(event.stream, event.data) for event in events]


def test_streams_that_there_are_and_that_come(native_server, publish):
    publish("room:42:old", "before")
    publish("room:43:old", "elsewhere")
    with ManyStreams(native_server, ROOMS, "other") as many:
        assert many.streams == [{"pattern": "room:42:*"}, {"name": "other"}]
        publish("room:42:old", "now")
        publish("room:43:old", "elsewhere")
        publish("room:42:new", "first", "second")
        publish("other", "else")
        publish("room:42:", "the empty rest fits")
        assert sorted(seen(many.events(5))) == [
            ("other", "else"), ("room:42:", "the empty rest fits"), ("room:42:new", "first"),
            ("room:42:new", "second"), ("room:42:old", "now")]


def test_goes_on_in_all_of_them(native_server, publish):
    publish("room:42:a", "old")
    with ManyStreams(native_server, ROOMS) as many:
        publish("room:42:b", "b1")
        many.event()
        last = many.last_event_id
    publish("room:42:a", "a2")
    publish("room:42:b", "b2")
    publish("room:42:c", "c1", "c2")
    with ManyStreams(native_server, ROOMS, last_event_id=last) as many:
        assert sorted(seen(many.events(4))) == [
            ("room:42:a", "a2"), ("room:42:b", "b2"), ("room:42:c", "c1"), ("room:42:c", "c2")]


def test_a_pattern_that_is_new_to_the_client_begins_now(native_server, publish):
    publish("room:42:a", "old")
    with ManyStreams(native_server, "other") as many:
        cursor = many.last_event_id
    with ManyStreams(native_server, "other", ROOMS, cursor=cursor) as many:
        publish("room:42:a", "new")
        assert seen([many.event()]) == [("room:42:a", "new")]


def test_a_stream_that_it_had_by_its_name_goes_on(native_server, publish):
    with ManyStreams(native_server, "room:42:a") as many:
        publish("room:42:a", "1")
        last = many.event() and many.last_event_id
    publish("room:42:a", "2")
    publish("room:42:b", "old to whom follows the pattern from now on")
    with ManyStreams(native_server, ROOMS, last_event_id=last) as many:
        assert seen([many.event()]) == [("room:42:a", "2")]
        publish("room:42:b", "new")
        assert seen([many.event()]) == [("room:42:b", "new")]


def test_a_stream_that_was_made_anew_after_the_list(native_server, publish):
    publish("room:42:a", "0")
    with ManyStreams(native_server, ROOMS) as many:
        publish("room:42:a", "1")
        last = many.event() and many.last_event_id
    publish.session.execute("DELETE FROM millstream.streams WHERE name = 'room:42:a'")
    with ManyStreams(native_server, ROOMS, last_event_id=last) as many:
        publish("room:42:a", "new")
        gap, event = many.events(2)
        assert (gap.event, json.loads(gap.data)["reason"]) == ("pgbus:gap-detected", "reset")
        assert (event.stream, event.data, event.number) == ("room:42:a", "new", 1)


def test_everything_of_those_that_there_are(native_server, publish):
    publish("room:42:a", "1", "2")
    publish("room:42:b", "3")
    with ManyStreams(native_server, (ROOMS, 0)) as many:
        assert sorted(data for _, data in seen(many.events(3))) == ["1", "2", "3"]
    with ManyStreams(native_server, (ROOMS, 5), "a") as many:
        assert many.streams == [{"status": 400}, {"name": "a"}]


def test_what_is_ephemeral_makes_a_stream_known(native_server, publish):
    with ManyStreams(native_server, ROOMS) as many:
        publish.notify("room:42:typing", "one")
        assert seen([many.event()]) == [("room:42:typing", "one")]
        publish.notify("room:42:typing", "two")
        publish("room:42:typing", "three")
        assert [data for _, data in seen(many.events(2))] == ["two", "three"]


def test_a_stream_that_fits_twice_comes_once(native_server, publish):
    with ManyStreams(native_server, ROOMS, Pattern("room:*"), "room:42:a") as many:
        publish("room:42:a", "1")
        publish("room:42:b", "2")
        publish("room:1", "3")
        assert sorted(seen(many.events(3))) == [
            ("room:1", "3"), ("room:42:a", "1"), ("room:42:b", "2")]


@pytest.mark.parametrize("loops", [1, 3])
def test_many_clients_and_streams_that_come_all_the_time(serve, native_database, loops):
    server = serve(native_database, "--loops", str(loops))
    count, streams = 40, 25
    clients = [ManyStreams(server, ROOMS) for _ in range(12)]

    def write(number):
        with Publisher(native_database, f"room:42:{number}") as publisher:
            for index in range(count):
                publisher.send(str(index))

    writers = [threading.Thread(target=write, args=[number]) for number in range(streams)]
    for writer in writers:
        writer.start()
    for many in clients:
        have = {}
        for event in many.events(count * streams, limit=60):
            assert event.number == have.get(event.stream, 0) + 1
            have[event.stream] = event.number
        assert len(have) == streams
        many.client.close()
    for writer in writers:
        writer.join()


def test_streams_that_came_while_postgres_was_away(serve, postgres, native_database, publish):
    server = serve(native_database)
    with ManyStreams(server, ROOMS) as many:
        publish("room:42:a", "1")
        many.event()
        postgres.restart()
        with Publisher(native_database, "room:42:b") as publisher:
            publisher.send("2")
        assert seen([many.event()]) == [("room:42:b", "2")]


@pytest.mark.parametrize("pattern, fits, does_not", [
    ("100%_*", "100%_x", "100xyx"), ("a\\*", "a\\b", "ab"), ('q"*', 'q"1', "q1"), ("*", "any", None),
    ("ä*ö", "äxö", "äx"), ("*:log", "a:log", "a:logs")])
def test_what_fits(native_server, publish, pattern, fits, does_not):
    publish(fits, "before")
    with ManyStreams(native_server, Pattern(pattern)) as many:
        if does_not:
            publish(does_not, "not for it")
        publish(fits, "for it")
        assert seen([many.event()]) == [(fits, "for it")]


def test_a_name_that_was_signed_as_one_is_no_pattern(native_server, publish):
    with ManyStreams(native_server, "room:42:*") as many:
        assert many.streams == [{"name": "room:42:*"}]
        publish("room:42:a", "not for it")
        publish("room:42:*", "for it")
        assert seen([many.event()]) == [("room:42:*", "for it")]


def test_a_signed_pattern_opens_no_single_stream(native_server):
    wish = path_of(ROOMS).partition("s=")[2]
    with native_server.get(f"/streams/{wish}") as client:
        assert client.head.status == 404


def test_patterns_that_are_public(serve, native_database, publish):
    server = serve(native_database, "--public", "room:*")
    with ManyStreams(server, "room:42:*", "roo*", signed=False) as many:
        assert many.streams == [{"pattern": "room:42:*"}, {"status": 404}]
        publish("room:42:a", "1")
        assert seen([many.event()]) == [("room:42:a", "1")]


def test_patterns_that_a_token_opens(serve, native_database, publish, tmp_path):
    (tmp_path / "secret").write_text(tokens.SECRET)
    server = serve(native_database, "--jwt-secret-file", str(tmp_path / "secret"))
    fields = [tokens.bearer({"streams": ["room:*:log"]})]
    with ManyStreams(server, "room:*:log", "room:1*:log", "*", signed=False, fields=fields) as many:
        assert many.streams == [
            {"pattern": "room:*:log"}, {"pattern": "room:1*:log"}, {"status": 403}]
        publish("room:7:log", "1")
        assert seen([many.event()]) == [("room:7:log", "1")]


def test_the_application_is_asked_about_the_pattern(serve, native_database, publish):
    asked = []

    def answer(path, headers):
        asked.append((headers.get("X-Millstream-Stream"), headers.get("X-Millstream-Pattern")))
        return 200, json.dumps({"labels": ["staff"]}).encode(), "application/json"

    with Application(answer) as application:
        server = serve(native_database, "--authorize-url", application.url)
        with ManyStreams(server, ROOMS, "a") as many:
            assert set(asked) == {("a", None), (None, "room:42:*")}
            publish.session.execute(
                "SELECT millstream.publish('room:42:a', 'for staff', visible_to => 'staff')")
            assert seen([many.event()]) == [("room:42:a", "for staff")]


def test_labels_on_a_stream_that_fits_several_patterns(serve, native_database, publish):
    """Those of the pattern that was asked for first, and not of any."""

    def answer(path, headers):
        return 200, json.dumps({"labels": [headers["X-Millstream-Pattern"]]}).encode(), "application/json"

    patterns = [Pattern("room:*" + "*" * number) for number in range(8)]
    with Application(answer) as application:
        server = serve(native_database, "--authorize-url", application.url)
        for first in range(8):
            with ManyStreams(server, *patterns[first:], *patterns[:first]) as many:
                for pattern in patterns:
                    publish.session.execute(
                        "SELECT millstream.publish('room:1', %s, visible_to => %s)", [pattern, pattern])
                assert many.event().data == patterns[first]


def test_an_application_that_knows_nothing_of_patterns_opens_none(serve, native_database, publish):
    """It looks for the number in a name, as `"1*".to_i` does: room 1 is no reason to show room 10."""

    def answer(path, headers):
        name = headers["X-Millstream-Stream"] or ""
        return (204 if re.match("room:1(?![0-9])", name) else 403), b""

    with Application(answer) as application:
        server = serve(native_database, "--authorize-url", application.url, "--public", "*")
        with ManyStreams(server, "room:1", "room:1*", signed=False) as many:
            assert many.streams == [{"name": "room:1"}, {"status": 403}]


def test_more_patterns_than_a_connection_follows(native_server, publish):
    publish("room:16:a", "x")
    patterns = [Pattern(f"room:{number}:*") for number in range(17)]
    with ManyStreams(native_server, *patterns, "a", patterns[3]) as many:
        assert many.streams[:16] == [{"pattern": pattern} for pattern in patterns[:16]]
        assert many.streams[16:] == [{"status": 413}, {"name": "a"}, {"pattern": patterns[3]}]


def test_patterns_do_not_hold_others_up(serve, native_database, publish):
    """Nothing fits them, of very many streams that begin as they do: who asks so would have everybody wait."""
    publish.session.execute(
        "INSERT INTO millstream.streams (name, last_id, published_at)"
        " SELECT 'room:' || number, 0, now() FROM generate_series(1, 10001) AS number")
    wide = [Pattern(f"room:*x{number}") for number in range(3)]
    server = serve(native_database, admin="127.0.0.1:0")
    with ManyStreams(server, *wide, Pattern("room:*"), Pattern("room:1000*"), "a") as many:
        assert many.streams[:4] == [{"status": 413}] * 4
        assert many.streams[4:] == [{"pattern": "room:1000*"}, {"name": "a"}]
        assert Admin(server).sum("millstream_rejections_total", status="413") == 4
        publish("room:1000", "new")
        assert seen([many.event()]) == [("room:1000", "new")]


def test_a_database_of_another_encoding(serve, latin_database):
    server = serve(latin_database, "--store", "native")
    with Publisher(latin_database, "room:42:\u00e9") as publisher, ManyStreams(server, (ROOMS, "0")) as many:
        publisher.send("one")
        assert seen([many.event()]) == [("room:42:\u00e9", "one")]


def test_more_streams_than_a_connection_follows(native_server, publish):
    for number in range(257):
        publish(f"room:42:{number}", "x")
    with ManyStreams(native_server, ROOMS, "a") as many:
        assert many.streams == [{"status": 413}, {"name": "a"}]
    # With another beside it, 256 are too many as well.
    publish.session.execute("DELETE FROM millstream.streams WHERE name = 'room:42:0'")
    with ManyStreams(native_server, "a", ROOMS) as many:
        assert many.streams == [{"name": "a"}, {"status": 413}]
        publish("a", "for it")
        assert seen([many.event()]) == [("a", "for it")]
    with ManyStreams(native_server, ROOMS, "room:42:1") as many:
        assert many.streams == [{"pattern": "room:42:*"}, {"name": "room:42:1"}]
    with ManyStreams(native_server, ROOMS) as many:
        assert many.streams == [{"pattern": "room:42:*"}]
        publish("room:42:one more", "x")
        many.client.read_to_end()
    with ManyStreams(native_server, ROOMS, "a") as many:
        assert many.streams == [{"status": 413}, {"name": "a"}]
        publish("room:42:and another", "not for whom the pattern was refused")
        publish("a", "for it")
        assert seen([many.event()]) == [("a", "for it")]


def test_more_streams_than_the_server_has_room_for(serve, native_database, publish):
    server = serve(native_database, "--max-connections", "2")
    for number in range(150):
        publish(f"room:42:{number}", "x")
    with ManyStreams(server, ROOMS) as first, ManyStreams(server, ROOMS, "a") as second:
        assert first.streams == [{"pattern": "room:42:*"}]
        assert second.streams == [{"status": 503}, {"name": "a"}]
        publish("room:42:1", "not for whom the pattern was refused")
        publish("a", "for it")
        assert seen([first.event()]) == [("room:42:1", "not for whom the pattern was refused")]
        assert seen([second.event()]) == [("a", "for it")]


def test_the_earlier_place_of_two_patterns(native_server, publish):
    publish("room:42:a", "old")
    publish("room:43:a", "not asked for")
    for patterns in [("room:*", "room:42:*"), ("room:42:*", "room:*")]:
        wishes = [
            (Pattern(pattern), "0") if pattern == "room:42:*" else Pattern(pattern)
            for pattern in patterns]
        with ManyStreams(native_server, *wishes) as many:
            assert seen([many.event()]) == [("room:42:a", "old")]


def test_before_the_schema_is_there(serve, database, native_sql):
    server = serve(database, "--store", "native")
    with ManyStreams(server, ROOMS) as many:
        with psycopg.connect(database, autocommit=True) as session:
            session.execute(native_sql)
        with Publisher(database, "room:42:a") as publisher:
            publisher.send("1")
        assert seen([many.event()]) == [("room:42:a", "1")]


def test_nothing_of_it_is_left(serve, native_database, publish):
    server = serve(native_database)
    for _ in range(20):
        with ManyStreams(server, ROOMS):
            pass
    publish("room:42:a", "1")
    with ManyStreams(server, ROOMS) as many:
        publish("room:42:b", "2")
        assert seen([many.event()]) == [("room:42:b", "2")]


def test_sign_makes_patterns(serve, native_database, publish):
    signed = run("sign", "--pattern", "room:42:*", MILLSTREAM_SECRET=SECRET).stdout.decode().strip()
    server = serve(native_database)
    with ManyStreams(server, signed, signed=False) as many:
        assert many.streams == [{"pattern": "room:42:*"}]
