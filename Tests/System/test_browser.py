"""millstream.js in a real browser: headless Chromium, a real server and a real Postgres. One of each serves
all tests here; every test has streams of its own."""

import contextlib
import gzip
import itertools
import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from harness.admin import Admin
from harness.application import Application
from harness.article import blocks, command
from harness.client import request
from harness.front import Front
from harness.library import ROOT
from harness.names import sign, sign_in_new_envelope
from harness.native import Publisher
from harness.pgmq import Queue
from harness.ports import free_port
from harness.presence import claims
from harness.server import Server, run
from harness.tokens import SECRET, token
from harness.waiting import wait_until

SOURCE = ROOT / "Sources/millstream/Browser"
LARGEST_BYTES = 4095
TYPES = ["message", "greeting", "presence"] + [
    f"millstream:{word}" for word in ("connected", "closed", "refused", "gap", "reset")]
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script>
  window.seen = [];
  for (const type of %s) document.addEventListener(type, (event) =>
    seen.push({type, at: event.target.id, data: event.data, detail: event.detail, id: event.lastEventId,
      stream: event.stream, time: event.timeStamp}), true);
</script>
<script type="module" src="/millstream.js"></script>
""" % json.dumps(TYPES)
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def world(cluster, full_template):
    """A server that can be started again at its address, what is in front of it, and what publishes."""
    if cluster.process is None:
        cluster.start()
    name = cluster.fresh_database(full_template)
    database = cluster.conninfo(name)
    listen = f"127.0.0.1:{free_port()}"
    start = lambda: Server(database, "--retry", "100ms", listen=listen, admin="127.0.0.1:0")
    world = SimpleNamespace(database=database, start=start, server=start())
    with Front(world.server.address) as world.front, Publisher(database, "") as publisher:

        def publish(stream, *datas, **options):
            publisher.stream = stream
            for data in datas:
                publisher.send(data, **options)

        world.publish, world.publisher = publish, publisher
        yield world
    world.server.stop()
    cluster.drop_database(name)


@pytest.fixture
def stream():
    """A name that nobody else has."""
    return f"room:{next(numbers)}"


@pytest.fixture
def open_tab(browser, world):
    """Opens tabs, which must not have an exception in the end."""
    tabs = []

    def open_tab(*elements, page=PAGE):
        tabs.append(Tab(browser, world, page + "\n".join(elements)))
        return tabs[-1]

    world.front.requests.clear()
    yield open_tab
    for tab in tabs:
        tab.close()
    wait_until(lambda: world.front.open_count == 0, "no stream is left open")


class Tab:
    """A tab with elements in it, and what they were told."""

    def __init__(self, browser, world, html):
        self.url = world.front.add(f"/page{next(numbers)}", html)
        self.page = browser.open(self.url)

    def close(self):
        """It must not have had an exception."""
        if not self.page:
            return
        page, self.page = self.page, None
        page.evaluate("0")
        page.command("Page.close")
        page.close()
        assert page.errors == []

    def run(self, script):
        return self.page.evaluate(script)

    def seen(self, type="message", at=None):
        """Those events, in order."""
        return [event for event in self.run("seen")
                if event["type"] == type and at in (None, event["at"])]

    def datas(self, at=None, type="message"):
        return [event["data"] for event in self.seen(type, at)]

    def wait_for(self, count, type="message", at=None):
        """At least so many of them."""
        wait_until(lambda: len(self.seen(type, at)) >= count, f"{count} of {type}: {self.run('seen')}")
        return self.seen(type, at)

    def wait_until_open(self, count=1):
        """So many elements are connected."""
        self.page.wait_for(f"document.querySelectorAll('[connected]').length == {count}",
                           f"{count} are connected", show="JSON.stringify(seen)")
        return self


def source(name, id="a", **attributes):
    """An element for that stream. An attribute that is True has no value."""
    given = {"signed-stream-name": sign(name), "id": id} | {
        key.replace("_", "-"): value for key, value in attributes.items()}
    text = " ".join(key if value is True else f'{key}="{value}"' for key, value in given.items())
    return f"<millstream-source {text}></millstream-source>"


# The file


def get_script(world, *fields, path="/millstream.js", method="GET"):
    with world.server.ask(request(path, *fields, method=method)) as client:
        head = client.head
        return head, client.body()


def test_the_script_is_small_and_says_what_it_is(world):
    head, body = get_script(world)
    assert head.status == 200
    assert head["content-type"] == "text/javascript; charset=utf-8"
    assert head["access-control-allow-origin"] == "*"
    assert head["cache-control"] == "public, max-age=3600"
    assert b"\n//" not in body and b"export class MillstreamSource" in body
    assert len(gzip.compress(body, 9, mtime=0)) <= LARGEST_BYTES


def test_the_script_is_packed_for_those_who_take_it_so(world):
    plain = get_script(world)[1]
    for accepted in ("gzip, deflate, br", "br;q=1.0,GZIP;q=0.5"):
        head, body = get_script(world, f"Accept-Encoding: {accepted}")
        assert head["content-encoding"] == "gzip" and head["vary"] == "accept-encoding"
        assert len(body) <= LARGEST_BYTES and gzip.decompress(body) == plain
    for accepted in ("br", "gzip;q=0", "x-gzipped", "gzip; q=0.0, br", ""):
        head, body = get_script(world, f"Accept-Encoding: {accepted}")
        assert head["content-encoding"] is None and body == plain


def test_the_script_is_asked_for_again_for_nothing(world):
    tag = get_script(world)[0]["etag"]
    for fields in ([f"If-None-Match: {tag}"], [f'If-None-Match: "x", {tag.removeprefix("W/")}'], ["If-None-Match: *"]):
        head, body = get_script(world, *fields)
        assert (head.status, head["etag"], body) == (304, tag, b"")
    assert get_script(world, 'If-None-Match: "other"')[0].status == 200
    head, body = get_script(world, method="HEAD")
    assert head.status == 200 and int(head["content-length"]) > 4000 and body == b""
    assert get_script(world, method="POST")[0].status == 404


def test_the_script_can_be_elsewhere_or_nowhere(serve, native_database):
    elsewhere = SimpleNamespace(server=serve(native_database, "--script-path", "/live/client.js"))
    assert get_script(elsewhere, path="/live/client.js")[0].status == 200
    assert get_script(elsewhere)[0].status == 404
    nowhere = SimpleNamespace(server=serve(native_database, MILLSTREAM_SCRIPT_PATH="none"))
    assert get_script(nowhere)[0].status == 404


# What comes


def test_a_message_reaches_its_element(world, open_tab, stream):
    tab = open_tab(source(stream), source(stream + "x", "b")).wait_until_open(2)
    assert tab.run("a.lastEventId") == "0", "the opening says where it begins"
    world.publish(stream, "<p>one</p>\ntwo", "")
    world.publish(stream + "x", "other")
    first, second = tab.wait_for(2, at="a")
    assert (first["data"], first["stream"]) == ("<p>one</p>\ntwo", stream)
    assert first["id"].startswith("1-") and second["data"] == ""
    assert [event["data"] for event in tab.wait_for(1, at="b")] == ["other"]
    assert tab.run("a.lastEventId") == second["id"] == tab.run("a.getAttribute('since-id')")


def test_twenty_elements_have_one_connection(world, open_tab, stream):
    names = [f"{stream}:{number}" for number in range(20)]
    admin = Admin(world.server)
    tab = open_tab(*(source(name, f"e{number}") for number, name in enumerate(names))).wait_until_open(20)
    assert admin.sum("millstream_connections") == 1
    assert admin.sum("millstream_subscriptions") == 20
    assert len(world.front.requests) == 1
    for name in names:
        world.publish(name, name)
    tab.wait_for(20)
    assert sorted(tab.datas()) == sorted(names)
    for number, name in enumerate(names):
        assert tab.datas(f"e{number}") == [name]


def test_typed_events(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    world.publish(stream, "hello", event="greeting")
    world.publish(stream, '{"type":"join","member":"7","present":3}', event="presence")
    world.publish(stream, "no JSON", event="presence")
    tab.wait_for(2, "presence")
    assert tab.datas(type="greeting") == ["hello"]
    assert tab.datas() == []
    assert tab.run("a.present") == 3


def test_what_is_ephemeral_has_no_id(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    world.publisher.stream = stream
    world.publisher.notify("typing")
    (event,) = tab.wait_for(1)
    assert (event["data"], event["id"]) == ("typing", "")


def test_the_first_connect_has_a_cursor(world, open_tab, stream):
    world.publish(stream, "1", "2", "3")
    tab = open_tab(source(stream, since_id=1))
    tab.wait_for(2)
    assert tab.datas() == ["2", "3"]


def test_the_connection_can_be_excluded(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    (connected,) = tab.seen("millstream:connected")
    assert connected["detail"]["connectionId"] == tab.run("a.connectionId")
    world.publish(stream, "not for it", exclude=tab.run("a.connectionId"))
    world.publish(stream, "for all")
    tab.wait_for(1)
    assert tab.datas() == ["for all"]


def test_a_program_subscribes_without_an_element(world, open_tab, stream):
    world.publish(stream, "old")
    tab = open_tab()
    tab.run(f"""import("/millstream.js").then(({{MillstreamSource}}) => {{
      window.source = new MillstreamSource("{sign(stream)}", {{since: 0}});
      window.got = [];
      source.addEventListener("message", (event) => got.push(event.data));
      return new Promise((done) => source.addEventListener("millstream:connected", done, {{once: true}}));
    }}).then(() => 0)""")
    world.publish(stream, "new")
    tab.page.wait_for("got.length == 2")
    assert tab.run("got") == ["old", "new"]
    assert tab.run("source.lastEventId").startswith("2-")
    tab.run("source.close()")
    wait_until(lambda: world.front.open_count == 0, "it is closed")


def test_a_pattern_brings_the_names_of_its_streams(world, open_tab, stream):
    signed = sign_in_new_envelope(f"{stream}:*", purpose="pattern")
    tab = open_tab(f'<millstream-source id="a" name="{signed}"></millstream-source>').wait_until_open()
    world.publish(f"{stream}:x", "x1")
    tab.wait_for(1)
    world.front.cut()
    world.publish(f"{stream}:x", "x2")
    world.publish(f"{stream}:y", "y1")
    tab.wait_for(3)
    assert sorted((event["stream"], event["data"]) for event in tab.seen()) == [
        (f"{stream}:x", "x1"), (f"{stream}:x", "x2"), (f"{stream}:y", "y1")]


# What goes wrong


def test_cut_and_resumed_without_loss_or_double(world, open_tab, stream):
    tab = open_tab(source(stream), source(stream + "b", "b")).wait_until_open(2)
    wanted = []
    for round in range(4):
        for number in range(10):
            wanted.append(f"{round}.{number}")
            world.publish(stream, wanted[-1])
            world.publish(stream + "b", wanted[-1])
            if number == 5:
                world.front.cut()
    tab.wait_for(2 * len(wanted))
    assert tab.datas("a") == tab.datas("b") == wanted
    tab.wait_for(2, "millstream:closed")
    closed = tab.seen("millstream:closed")[0]["detail"]
    assert closed["reason"] == "network" and 0 < closed["retryMs"] <= 150


def test_cut_before_anything_came(world, open_tab, stream):
    """The place where the connection began is known, too."""
    tab = open_tab(source(stream), source(stream + "b", "b")).wait_until_open(2)
    world.server.stop()
    world.publish(stream, "while it was away")
    world.server = world.start()
    assert [event["data"] for event in tab.wait_for(1)] == ["while it was away"]
    assert tab.seen("millstream:closed")[0]["detail"]["reason"] == "worker_restart"


def test_the_server_is_killed_and_gone_for_a_while(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    world.publish(stream, "1")
    tab.wait_for(1)
    world.server.kill()
    tab.wait_for(5, "millstream:closed")
    world.publish(stream, "2", "3")
    closed = tab.seen("millstream:closed")
    pauses = [event["detail"]["retryMs"] for event in closed]
    world.server = world.start()
    tab.wait_for(3)
    assert tab.datas() == ["1", "2", "3"]
    # The server says 50 to 150 ms; twice that after each fault, and half of it is left to chance.
    for number, pause in enumerate(pauses):
        assert 25 * 2**number <= pause <= 150 * 2**number
    assert len({pause / 2**number for number, pause in enumerate(pauses)}) == len(pauses)
    for before, after, pause in zip(closed, closed[1:], pauses):
        assert after["time"] - before["time"] >= 0.95 * pause


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_comes_back_after_any_status(world, open_tab, stream, status):
    tab = open_tab(source(stream)).wait_until_open()
    world.publish(stream, "1")
    tab.wait_for(1)
    world.front.refusals = [status]
    world.front.cut()
    (refused,) = tab.wait_for(1, "millstream:refused")
    assert refused["detail"]["status"] == status
    world.publish(stream, "2")
    tab.wait_for(2)
    assert tab.datas() == ["1", "2"]


def test_a_refused_stream_is_told_and_takes_nothing_else_along(world, open_tab, stream):
    forged = f'<millstream-source id="b" name="{stream}--00"></millstream-source>'
    tab = open_tab(source(stream), forged).wait_until_open(1)
    assert [event["detail"] for event in tab.seen("millstream:refused", "b")] == [{"status": 404}]
    assert tab.run("b.connectionId") == ""
    world.publish(stream, "1")
    tab.wait_for(1)
    assert len(world.front.requests) == 1
    tab.run(f"b.setAttribute('name', '{sign(stream + 'b')}')")
    tab.wait_until_open(2)


def test_a_stream_of_which_it_cannot_be_said_is_asked_for_again(serve, world, open_tab, stream):
    answers = [500]

    def answer(path, headers):
        is_ours = headers["X-Millstream-Stream"] == stream
        return (answers.pop() if is_ours and answers else 204), b""

    with Application(answer) as application:
        server = serve(world.database, "--authorize-url", application.url, "--retry", "100ms")
        upstream, world.front.upstream = world.front.upstream, server.address
        tab = open_tab(source(stream), source(stream + "b", "b")).wait_until_open(2)
        world.front.upstream = upstream
        assert [event["detail"] for event in tab.seen("millstream:refused", "a")] == [{"status": 503}]
        assert tab.seen("millstream:refused", "b") == [] and len(world.front.requests) == 2
        world.front.cut()


def test_a_server_from_which_nothing_comes_is_taken_for_gone(world, open_tab, stream):
    quicker = """<script>const slow = setTimeout;
      window.setTimeout = (act, ms) => slow(act, ms == 45000 ? 500 : ms)</script>"""
    tab = open_tab(source(stream), page=quicker + PAGE).wait_until_open()
    world.publish(stream, "1")
    tab.wait_for(1)
    tab.wait_for(2, "millstream:connected")
    world.publish(stream, "2")
    tab.wait_for(2)
    assert tab.datas() == ["1", "2"]
    assert tab.seen("millstream:closed")[0]["detail"]["reason"] == "network"


def test_a_long_pause_that_the_server_wants_does_not_run_over(world, open_tab, stream):
    """Timers of browsers have 31 bits."""
    world.front.refusals = ["503 x\r\nRetry-After: 9999999\r\nX-Rest:"]
    tab = open_tab(source(stream))
    (refused,) = tab.wait_for(1, "millstream:refused")
    assert refused["detail"] == {"status": 503, "retryMs": 86_400_000}
    assert len(world.front.requests) == 1


def test_a_gap_is_told_to_those_whom_it_concerns(world, open_tab, stream):
    world.publish(stream, *"12345")
    world.publisher.session.execute(
        "DELETE FROM millstream.messages WHERE id <= 3 AND stream_id ="
        " (SELECT stream_id FROM millstream.streams WHERE name = %s)", [stream])
    tab = open_tab(source(stream, "a", since_id=1), source(stream, "b", since_id=4))
    tab.wait_for(3)
    assert tab.datas("a") == ["4", "5"] and tab.datas("b") == ["5"]
    (gap,) = tab.seen("millstream:gap")
    assert gap["at"] == "a"
    assert gap["detail"] == {"stream": stream, "lastSeenId": 1, "archiveOldestId": 4}


def test_a_stream_that_begins_anew(world, open_tab, stream):
    world.publish(stream, *"123")
    tab = open_tab(source(stream, since_id=0))
    tab.wait_for(3)
    world.publisher.session.execute("DELETE FROM millstream.streams WHERE name = %s", [stream])
    world.publish(stream, "new")
    tab.wait_for(4)
    assert [event["type"] for event in tab.run("seen")][-2:] == ["millstream:reset", "message"]
    world.front.cut()
    world.publish(stream, "newer")
    tab.wait_for(5)
    assert tab.datas() == ["1", "2", "3", "new", "newer"]


def test_a_queue_that_is_made_anew(world, open_tab, stream):
    """Its ids say nothing of that: they only begin at 1 again."""
    with Queue(world.database, stream.replace(":", "_")) as queue:
        queue.create()
        queue.send_many(list("123"))
        tab = open_tab(source(stream, since_id=0, src="/pgbus/streams"))
        tab.wait_for(3)
        queue.session.execute("SELECT pgmq.drop_queue(%s)", [queue.name])
        queue.create()
        queue.send("new")
        tab.wait_for(4)
        assert [event["type"] for event in tab.run("seen")][-2:] == ["millstream:reset", "message"]
        assert tab.datas() == ["1", "2", "3", "new"]


# Who is there, what is closed, for whom there is no room


@contextlib.contextmanager
def instead(world, server):
    """That server is behind the front meanwhile."""
    upstream, world.front.upstream = world.front.upstream, server.address
    try:
        yield
    finally:
        world.front.upstream = upstream


def member(name, who, id="a"):
    """An element of a member, let in by a token."""
    src = f"/streams?token={token(claims(who, {'name': who.title()}))}"
    return f'<millstream-source name="{name}" id="{id}" src="{src}"></millstream-source>'


@pytest.fixture
def with_tokens(serve, world, tmp_path):
    """A server in front of which members come, and which tells who is there."""
    secret = tmp_path / "jwt-secrets"
    secret.write_text(SECRET + "\n")
    server = serve(world.database, "--presence", "room:*", "--presence-grace", "200ms", "--retry", "100ms",
                   "--jwt-secret-file", str(secret))
    with instead(world, server):
        yield server


def said(tab, me, id="a"):
    """What a tab was told of members, but of its own joining: type, who, and how many."""
    events = [json.loads(data) for data in tab.datas(id, "presence")]
    return [(event["type"], event.get("member") or [one["member"] for one in event["members"]], event["present"])
            for event in events if event.get("member") != me]


def test_a_page_sees_who_is_there(world, with_tokens, open_tab, stream):
    ann = open_tab(member(stream, "ann"), member(stream + "b", "ann", "b"))
    ann.wait_for(1, "presence", "a")
    ann.wait_for(1, "presence", "b")
    bob = open_tab(member(stream, "bob"))
    wait_until(lambda: said(bob, "bob") == [("list", ["ann", "bob"], 2)], "bob has the list")
    ann.page.wait_for("a.present == 2", "ann sees him")
    assert ann.run("b.present") == 1
    bob.close()
    ann.page.wait_for("a.present == 1", "ann sees that he has left")
    assert said(ann, "ann") == [("list", ["ann"], 1), ("join", "bob", 2), ("leave", "bob", 1)]
    assert said(ann, "ann", "b") == [("list", ["ann"], 1)]


def close_for(world, **what):
    """The application closes something."""
    names = ", ".join(f"{name} => %s" for name in what)
    world.publisher.session.execute(f"SELECT millstream.close({names})", list(what.values()))


def test_a_member_that_is_closed_is_told_why_and_comes_back(world, with_tokens, open_tab, stream):
    ann, bob = open_tab(member(stream, "ann")), open_tab(member(stream, "bob"))
    ann.wait_until_open()
    bob.wait_until_open()
    line = ["close", "--member", "ann", "--reason", "signed out", "--database", world.database]
    assert run(*line).returncode == 0
    (closed,) = ann.wait_for(1, "millstream:closed")
    assert closed["detail"]["reason"] == "signed out" and closed["detail"]["retryMs"] <= 150
    world.publish(stream, "afterwards")
    assert [event["data"] for event in ann.wait_for(1)] == ["afterwards"]
    assert len(ann.seen("millstream:connected")) == 2 and bob.seen("millstream:closed") == []


def test_a_stream_that_is_closed_comes_back_without_the_others_noticing(world, with_tokens, open_tab, stream):
    tab = open_tab(member(stream, "ann"), member(stream + "b", "ann", "b"))
    assert tab.wait_until_open(2) and tab.wait_for(2, "millstream:connected") == tab.seen("millstream:connected")
    close_for(world, stream=stream, reason="moved")
    (closed,) = tab.wait_for(1, "millstream:closed")
    assert closed["at"] == "a" and closed["detail"]["reason"] == "moved" and 25 <= closed["detail"]["retryMs"] <= 150
    for number in range(5):
        world.publish(stream, f"a{number}")
        world.publish(stream + "b", f"b{number}")
    tab.wait_for(10)
    assert tab.datas("a") == [f"a{number}" for number in range(5)]
    assert tab.datas("b") == [f"b{number}" for number in range(5)]
    assert len(tab.seen("millstream:closed")) == 1


def test_the_only_stream_of_a_connection_is_closed(world, with_tokens, open_tab, stream):
    tab = open_tab(member(stream, "ann"))
    tab.wait_for(1, "millstream:connected")
    close_for(world, stream=stream, reason="moved")
    tab.wait_for(2, "millstream:connected")
    (closed,) = tab.seen("millstream:closed")
    assert closed["detail"]["reason"] == "moved"


def test_a_full_stream_is_asked_for_again_and_takes_nothing_else_along(serve, world, open_tab, stream):
    # A connection that is made anew may meet the one before it, which is counted until the server sees its end.
    server = serve(world.database, "--max-per-stream", "2", "--retry", "100ms")
    taken, other = (server.get(f"/streams/{sign(stream)}") for _ in range(2))
    with instead(world, server), taken, other:
        taken.connection_id()
        other.connection_id()
        tab = open_tab(source(stream), source(stream + "b", "b")).wait_until_open(1)
        refused = tab.wait_for(4, "millstream:refused")
        assert {(event["at"], event["detail"]["status"]) for event in refused} == {("a", 503)}
        for before, after, least in zip(refused, refused[1:], (25, 50, 100)):
            assert after["time"] - before["time"] >= least, "each pause is twice as long"
        world.publish(stream + "b", "while it waits")
        assert [event["data"] for event in tab.wait_for(1)] == ["while it waits"]
        taken.close()
        tab.wait_until_open(2)
        tab.close()


def test_a_full_server_is_asked_less_and_less_often(serve, world, open_tab, stream):
    server = serve(world.database, "--max-per-address", "1", "--retry", "100ms")
    with instead(world, server), server.get(f"/streams/{sign(stream)}") as taken:
        taken.connection_id()
        tab = open_tab(source(stream))
        first, second = [event["detail"] for event in tab.wait_for(2, "millstream:refused")]
        assert first["status"] == second["status"] == 503
        assert first["retryMs"] >= 1000 and second["retryMs"] >= 1000, "a second at the least, and Retry-After"
        assert len(world.front.requests) == 2
        taken.close()
        world.publish(stream, "x")
        tab.wait_until_open()
        tab.close()


def test_more_elements_than_a_connection_has_room_for(world, open_tab, stream):
    """The first of them work; the others are told, and come in when there is room."""
    names = [f"{stream}:{number}" for number in range(1000)]
    tab = open_tab(*(source(name, f"e{number}") for number, name in enumerate(names))).wait_until_open(256)
    refused = tab.wait_for(744, "millstream:refused")
    assert {event["detail"]["status"] for event in refused} == {400} and refused[0]["at"] == "e256"
    world.publish(names[0], "in")
    tab.wait_for(1, at="e0")
    tab.run("e0.remove()")
    tab.page.wait_for("document.querySelector('#e256[connected]')")
    world.publish(names[256], "now")
    tab.wait_for(1, at="e256")


@pytest.mark.parametrize("name", ["__proto__", "constructor"])
def test_a_stream_with_the_name_of_something_in_javascript(world, open_tab, name, stream):
    signed = sign_in_new_envelope("*", purpose="pattern")
    tab = open_tab(f'<millstream-source id="a" name="{signed}"></millstream-source>').wait_until_open()
    world.publish(name, "1")
    world.publish(stream, "2")
    tab.wait_for(2)
    assert sorted(tab.datas()) == ["1", "2"] and tab.seen("millstream:closed") == []


def test_a_message_that_is_typed_like_an_opening_is_a_message(world, open_tab, stream):
    tab = open_tab(source(stream), source(stream + "b", "b")).wait_until_open(2)
    world.publisher.stream = stream
    with contextlib.suppress(Exception):  # The schema may not have it at all.
        world.publisher.notify("no", event="pgbus:connected")
    world.publish(stream, "1")
    tab.wait_for(1, at="a")
    assert tab.seen("millstream:closed") == [] and len(world.front.requests) == 1


def test_what_is_published_is_no_markup_unless_turbo_is_told(world, open_tab, stream):
    name = stream + ':"><img src=x onerror=document.title=1>'
    signed = sign_in_new_envelope(f"{stream}:*", purpose="pattern")
    tab = open_tab(f'<millstream-source id="a" name="{signed}"></millstream-source>').wait_until_open()
    world.publish(name, "<script>document.title = 2</script>")
    (event,) = tab.wait_for(1)
    assert event["stream"] == name and tab.run("document.title") == ""
    assert tab.run("document.images.length + document.querySelectorAll('script').length") == 2


def test_a_message_of_a_megabyte(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    data = "0123456789abcde\n" * (1 << 15)
    world.publish(stream, data)
    tab.page.wait_for("seen.some((event) => event.data?.length == %d)" % len(data))


# Elements that come and go


def test_elements_come_and_go(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    world.publish(stream, "1")
    world.publish(stream + "b", "b1")
    tab.wait_for(1)
    tab.run(f"""document.body.insertAdjacentHTML("beforeend",
      {json.dumps(source(stream + "b", "b", since_id=0) + source(stream + "c", "c"))})""")
    tab.wait_until_open(3)
    assert len(world.front.requests) == 2
    world.publish(stream, "2")
    world.publish(stream + "c", "c1")
    tab.wait_for(4)
    tab.run("a.remove()")
    wait_until(lambda: len(world.front.requests) == 3, "a connection without it")
    world.publish(stream, "not seen")
    world.publish(stream + "b", "b2")
    tab.wait_for(5)
    assert (tab.datas("a"), tab.datas("b"), tab.datas("c")) == (["1", "2"], ["b1", "b2"], ["c1"])
    tab.run("b.remove(), c.remove()")
    wait_until(lambda: world.front.open_count == 0, "no connection without elements")


def test_an_element_that_gets_its_name_later(world, open_tab, stream):
    tab = open_tab("<millstream-source id='a'></millstream-source>", source(stream, "b")).wait_until_open()
    assert tab.seen("millstream:refused") == [] and len(world.front.requests) == 1
    tab.run(f"a.setAttribute('name', '{sign(stream)}')")
    tab.wait_until_open(2)
    world.publish(stream, "1")
    tab.wait_for(2)
    tab.run("a.removeAttribute('name')")
    tab.wait_until_open(1)


def test_another_name_is_another_stream(world, open_tab, stream):
    """Where it was in the first says nothing of the second; the same stream, signed anew, goes on."""
    world.publish(stream, *"123")
    world.publish(stream + "b", "old")
    tab = open_tab(source(stream, since_id=0))
    tab.wait_for(3)
    tab.run(f"a.setAttribute('signed-stream-name', '{sign(stream + 'b')}')")
    tab.wait_for(2, "millstream:connected")
    world.publish(stream + "b", "b2")
    tab.wait_for(4)
    tab.run("kept = a, there = a.parentNode, a.remove()")
    world.publish(stream + "b", "b3")
    tab.run(f"kept.setAttribute('signed-stream-name', '{sign_in_new_envelope(stream + 'b')}'), there.append(kept)")
    tab.wait_for(5)
    assert tab.datas() == ["1", "2", "3", "b2", "b3"] and tab.seen("millstream:reset") == []


def test_what_is_closed_twice_ends_nothing_else(world, open_tab, stream):
    tab = open_tab()
    tab.run(f"""import("/millstream.js").then(({{MillstreamSource}}) => {{
      window.open = (name) => new MillstreamSource(name);
      window.first = open("{sign(stream)}");
      first.close();
    }})""")
    tab.run("new Promise((done) => setTimeout(done, 50))")  # Its hub has gone: that takes a timer of 0 ms.
    tab.run(f"window.second = open('{sign(stream)}'), first.close(), 0")
    tab.page.wait_for("second.connectionId")
    tab.run(f"window.third = open('{sign(stream + 'b')}'), 0")
    tab.page.wait_for("third.connectionId")
    assert tab.run("second.connectionId == third.connectionId") and world.front.open_count == 1
    tab.run("second.close(), third.close()")


def test_one_that_comes_later_may_begin_earlier(world, open_tab, stream):
    """A part of a page that was rendered a while ago: it misses nothing, and the others get nothing twice."""
    world.publish(stream, *"123")
    tab = open_tab(source(stream, since_id=0))
    tab.wait_for(3)
    tab.run(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(source(stream, 'b', since_id=1))})")
    tab.wait_for(5)
    world.publish(stream, "4")
    tab.wait_for(7)
    assert (tab.datas("a"), tab.datas("b")) == (list("1234"), list("234"))


def test_an_element_that_is_moved_or_copied_goes_on_where_it_was(world, open_tab, stream):
    world.publish(stream, *"12")
    tab = open_tab(source(stream, since_id=0), "<div id='there'></div>")
    tab.wait_for(2)
    tab.run("there.append(a)")
    tab.wait_until_open()
    world.publish(stream, "3")
    tab.wait_for(3)
    tab.run("""copy = a.cloneNode(); copy.id = "b"; a.remove(); there.append(copy)""")
    tab.page.wait_for("document.querySelector('#b[connected]')")
    world.publish(stream, "4")
    tab.wait_for(4)
    assert (tab.datas("a"), tab.datas("b")) == (list("123"), ["4"])


# Tabs that are hidden, left, asleep


def test_a_hidden_tab_pauses_and_goes_on(world, browser, open_tab, stream):
    tab = open_tab(source(stream, pause_hidden="0.2"), source(stream, "b", pause_hidden="0.2"))
    tab.wait_until_open(2)
    world.publish(stream, "1")
    tab.wait_for(2)
    other = open_tab(source(stream))
    other.wait_until_open()
    assert tab.run("document.hidden")
    tab.wait_until_open(0)
    wait_until(lambda: world.front.open_count == 1, "only the other is connected")
    world.publish(stream, "2", "3")
    assert [event["data"] for event in other.wait_for(2)] == ["2", "3"]
    tab.page.command("Page.bringToFront")
    tab.wait_for(6)
    assert tab.datas("a") == tab.datas("b") == ["1", "2", "3"]


def test_who_does_not_want_to_pause_does_not(world, open_tab, stream):
    tab = open_tab(source(stream, pause_hidden="0.1"), source(stream, "b")).wait_until_open(2)
    other = open_tab(source(stream, pause_hidden="0.1")).wait_until_open()
    tab.page.command("Page.bringToFront")
    other.wait_until_open(0)
    other.page.command("Page.bringToFront")
    other.wait_until_open()
    assert world.front.open_count == 2 and len(world.front.requests) == 3


def test_back_and_forward(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    world.publish(stream, "1")
    tab.wait_for(1)
    elsewhere = world.front.add("/elsewhere", "<!doctype html><p>elsewhere")
    tab.page.go(elsewhere)
    wait_until(lambda: world.front.open_count == 0, "a page that is left has no connection")
    world.publish(stream, "2")
    tab.run("setTimeout(() => history.back())")
    tab.page.wait_for("location.pathname != '/elsewhere' && window.seen?.length > 0")
    tab.wait_for(2)
    assert tab.datas() == ["1", "2"], "the page was kept as it was"


def test_a_tab_that_was_frozen(world, open_tab, stream):
    tab = open_tab(source(stream)).wait_until_open()
    world.publish(stream, "1")
    tab.wait_for(1)
    open_tab()
    tab.page.command("Page.setWebLifecycleState", state="frozen")
    wait_until(lambda: world.front.open_count == 0, "asleep, it has no connection")
    world.publish(stream, "2")
    tab.page.command("Page.setWebLifecycleState", state="active")
    tab.page.command("Page.bringToFront")
    tab.wait_for(2)
    assert tab.datas() == ["1", "2"]


# One connection for all tabs


def test_tabs_share_one_connection_and_outlive_each_other(world, open_tab, stream):
    tabs = [open_tab(source(stream, shared=True), source(f"{stream}:{number}", "b", shared=True))
            for number in range(3)]
    for tab in tabs:
        tab.wait_until_open(2)
    assert Admin(world.server).sum("millstream_connections") == 1
    assert Admin(world.server).sum("millstream_subscriptions") == 4
    assert len({tab.run("a.connectionId") for tab in tabs}) == 1
    requests = len(world.front.requests)
    for tab in tabs:
        tab.page.command("Page.bringToFront")
        tab.page.wait_for("document.visibilityState == 'visible'")
    world.publish(stream, "1")
    world.publish(f"{stream}:1", "own")
    wanted = ["1"]
    for left in (tabs, tabs[1:], tabs[2:]):
        for tab in left:
            tab.wait_for(len(wanted), at="a")
            assert tab.datas("a") == wanted
        if len(left) == 3:
            assert len(world.front.requests) == requests, "who is seen and who is not does not matter"
        left[0].close()
        for number in range(3):
            wanted.append(f"{len(left)}.{number}")
            world.publish(stream, wanted[-1])
        for tab in left[1:]:
            tab.wait_for(len(wanted), at="a")
            assert tab.datas("a") == wanted
        if len(left) == 3:
            assert tabs[1].datas("b") == ["own"] and tabs[2].datas("b") == []


def test_a_tab_that_comes_later_may_begin_earlier(world, open_tab, stream):
    """Also while the others get something: it is not taken in where they are."""
    first = open_tab(source(stream, shared=True)).wait_until_open()
    wanted = [str(number) for number in range(40)]
    world.publish(stream, *wanted[:10])
    second = open_tab(source(stream, shared=True, since_id=4))
    for data in wanted[10:]:
        world.publish(stream, data)
    first.wait_for(40)
    second.wait_for(36)
    assert (first.datas(), second.datas()) == (wanted, wanted[4:])
    assert world.front.open_count == 1


def test_a_shared_connection_is_cut(world, open_tab, stream):
    tabs = [open_tab(source(stream, shared=True)).wait_until_open() for _ in range(2)]
    wanted = []
    for number in range(20):
        wanted.append(f"{number}")
        world.publish(stream, wanted[-1])
        if number % 8 == 5:
            world.front.cut()
    for tab in tabs:
        tab.wait_for(20)
        assert tab.datas() == wanted
        assert tab.seen("millstream:closed")[0]["detail"]["reason"] == "network"


def test_a_tab_that_crashes_is_not_listened_for_any_longer(world, open_tab, stream):
    """It says no goodbye, and whoever sees who is there would see it for as long as the other tab is open."""
    quicker = """<script>const slow = setInterval;
      window.setInterval = (act, ms) => slow(act, ms == 60000 ? 200 : ms)</script>"""
    subscriptions = lambda: Admin(world.server).sum("millstream_subscriptions")
    first, second, third = [open_tab(source(f"{stream}:{number}", shared=True), page=quicker + PAGE).wait_until_open()
                            for number in range(3)]
    wait_until(lambda: subscriptions() == 3, "all are listened for")
    second.page.crash()
    second.page = None
    wait_until(lambda: subscriptions() == 2, "the others alone")
    world.publish(f"{stream}:2", "heard")
    third.wait_for(1)
    assert first.run("a.connectionId") == third.run("a.connectionId")


REFUSING = """<script>navigator.locks.request = () => Promise.reject(new DOMException("no", "SecurityError"))</script>"""
MISSING = """<script>Object.defineProperty(navigator, "locks", { value: undefined })</script>"""


@pytest.mark.parametrize("locks", [REFUSING, MISSING], ids=["refusing", "missing"])
def test_without_locks_each_tab_has_its_own_connection(world, open_tab, stream, locks):
    tabs = [open_tab(source(stream, shared=True), page=locks + PAGE).wait_until_open() for _ in range(2)]
    assert world.front.open_count == 2
    world.publish(stream, "1")
    for tab in tabs:
        tab.wait_for(1)
    tabs[0].run("a.remove()")
    wait_until(lambda: world.front.open_count == 1, "one of them")


def test_a_page_that_tells_nonsense_to_the_others(world, open_tab, stream):
    """It has the same origin, so it may do as it likes; what it says by mistake must not end a connection."""
    tab = open_tab(source(stream, shared=True)).wait_until_open()
    other = open_tab(source(stream, shared=True)).wait_until_open()
    key = f"millstream,{world.front.url}/streams,false,true"
    other.run("""{const channel = new BroadcastChannel(%s);
      for (const said of [{}, {tab: 7}, {tab: 8, list: [{}]}, {tab: "__proto__", list: []}, {tab: 9, list: [{at: {}}]}])
        channel.postMessage(said);
      channel.close()}""" % json.dumps(key))
    world.publish(stream, "1")
    assert [event["data"] for event in tab.wait_for(1) + other.wait_for(1)] == ["1", "1"]
    open_tab(source(stream + "b", "b", shared=True)).wait_until_open()
    tab.wait_until_open()
    tab.page.errors.clear()


def test_the_leading_tab_is_left_and_comes_back(world, open_tab, stream):
    first, second = [open_tab(source(stream, shared=True)).wait_until_open() for _ in range(2)]
    first.page.go(world.front.add("/elsewhere", "<!doctype html><p>elsewhere"))
    world.publish(stream, "missed")
    second.wait_for(1)
    # What comes while it is not taken in again yet must not hide what it has missed.
    with Steadily(world.database, stream) as publishing:
        wait_until(lambda: len(second.datas()) > 20, "messages come")
        first.run("setTimeout(() => history.back())")
        first.page.wait_for("window.seen?.length > 20")
    for tab in (first, second):
        tab.wait_for(publishing.count + 1)
        assert tab.datas() == ["missed", *map(str, range(publishing.count))]
    assert world.front.open_count == 1


class Steadily:
    """Publishes one number after the other, for as long as it is open."""

    def __init__(self, database, stream):
        self.count = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._publish, args=[database, stream])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _publish(self, database, stream):
        with Publisher(database, stream) as publisher:
            while not self._is_over.wait(0.005):
                publisher.send(str(self.count))
                self.count += 1


# Turbo, and pgbus's own element

TURBO = ROOT / ".build-tools/turbo.js"
PGBUS_ELEMENT = ROOT / ".build-tools/pgbus_stream_source_element.js"
# What Rails puts into the page: an import map, here with what stands for turbo-rails.
TURBO_PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script src="/turbo.js"></script>
<script type="importmap">{"imports": {"@hotwired/turbo-rails":
  "data:text/javascript,export const Turbo = window.Turbo"}}</script>
<script type="module" src="%s"></script><ul id="list"></ul>
"""


@pytest.fixture
def turbo(world):
    """Has Turbo at /turbo.js."""
    world.front.add("/turbo.js", TURBO.read_text(), "text/javascript")


def append(text):
    return (f'<turbo-stream action="append" target="list"><template><li>{text}</li></template>'
            "</turbo-stream>")


def wait_for_items(tab, *texts):
    items = "[...document.querySelectorAll('#list li')].map((item) => item.textContent)"
    tab.page.wait_for(f"{items}.length >= {len(texts)}", show=items)
    assert tab.run(items) == list(texts)


def test_turbo_renders_what_comes(world, open_tab, turbo, stream):
    world.publish(stream, append("1"))
    tab = open_tab(source(stream, since_id=0), page=TURBO_PAGE % "/millstream.js")
    wait_for_items(tab, "1")
    world.publish(stream, append("2"), append("3"))
    wait_for_items(tab, "1", "2", "3")
    # A page that Turbo keeps and shows again goes on where its copy was made.
    tab.run("window.kept = document.body.cloneNode(true)")
    world.publish(stream, append("4"))
    wait_for_items(tab, "1", "2", "3", "4")
    tab.run("document.body.replaceWith(kept)")
    wait_for_items(tab, "1", "2", "3", "4")
    assert tab.run("Turbo.session.streamObserver.sources.size") == 1


def pgbus_source(stream, name="pgbus-stream-source"):
    signed = sign(stream)
    return f'<{name} src="/pgbus/streams/{signed}" signed-stream-name="{signed}" since-id="0"></{name}>'


def assert_goes_on_as_pgbus_does(world, tab, queue):
    wait_for_items(tab, "1")
    queue.send(append("2"))
    wait_for_items(tab, "1", "2")
    world.front.cut()
    queue.send(append("3"))
    wait_for_items(tab, "1", "2", "3")
    world.front.cut()
    queue.send_many([append("4"), append("5")])
    wait_for_items(tab, "1", "2", "3", "4", "5")


@pytest.fixture
def queue(world, stream):
    """The queue of `stream`, with one message."""
    with Queue(world.database, stream.replace(":", "_")) as queue:
        queue.create()
        queue.send(append("1"))
        yield queue


def test_pgbus_own_element_works_unchanged(world, open_tab, turbo, queue, stream):
    if not PGBUS_ELEMENT.exists():
        pytest.skip("pgbus's stream_source_element.js is not in .build-tools")
    world.front.add("/pgbus.js", PGBUS_ELEMENT.read_text(), "text/javascript")
    tab = open_tab(pgbus_source(stream), page=TURBO_PAGE % "/pgbus.js")
    assert_goes_on_as_pgbus_does(world, tab, queue)


# The steps of that element, as far as the server sees them: `since` with fetch at first, blocks told apart by
# blank lines, those that begin with a comment dropped; then EventSource, with what it had in the address.
LIKE_PGBUS = """
customElements.define("like-pgbus", class extends HTMLElement {
  connectedCallback() {
    Turbo.connectStreamSource(this);
    this.last = this.getAttribute("since-id");
    this.first();
  }
  disconnectedCallback() {
    Turbo.disconnectStreamSource(this);
    this.source?.close();
  }
  get address() { return this.getAttribute("src") + "?since=" + encodeURIComponent(this.last); }
  async first() {
    const reader = (await fetch(this.address)).body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let rest = "", part; !(part = await reader.read()).done;) {
        const blocks = (rest + part.value).split("\\n\\n");
        rest = blocks.pop();
        for (const block of blocks) {
          if (block.startsWith(":")) continue;
          const field = (name) => block.split("\\n").find((line) => line.startsWith(name + ":"))
            ?.slice(name.length + 1).trim();
          this.last = field("id") ?? this.last;
          if (field("event") == "turbo-stream") this.tell(field("data"));
        }
      }
    } catch { }
    this.source = new EventSource(this.address, {withCredentials: true});
    this.source.addEventListener("turbo-stream", (event) => this.tell(event.data));
  }
  tell(data) { this.dispatchEvent(new MessageEvent("message", {data})); }
});
"""


def test_an_element_like_that_of_pgbus(world, open_tab, turbo, queue, stream):
    world.front.add("/like-pgbus.js", LIKE_PGBUS, "text/javascript")
    tab = open_tab(pgbus_source(stream, "like-pgbus"), page=TURBO_PAGE % "/like-pgbus.js")
    assert_goes_on_as_pgbus_does(world, tab, queue)


def test_elements_on_queues_of_pgbus(world, open_tab, turbo, queue, stream):
    """Ours at the other prefix: on a connection of its own."""
    tab = open_tab(
        source(stream, since_id=0, src="/pgbus/streams"), source(stream, "b"),
        page=TURBO_PAGE % "/millstream.js")
    assert_goes_on_as_pgbus_does(world, tab.wait_until_open(2), queue)


# Types, and the article

TSC = ["node", str(ROOT / ".build-tools/typescript/lib/tsc.js"), "--noEmit", "--target", "es2022", "--module",
       "es2022", "--moduleResolution", "node", "--lib", "es2022,dom,dom.iterable", "--skipDefaultLibCheck"]
CONSUMER = """
import { MillstreamSource, MillstreamSourceElement } from "./millstream.js";

const source = new MillstreamSource("room:1", { src: "/streams", since: 7n, shared: true, pauseHidden: 30 });
source.addEventListener("message", (event) => {
  const text: string = event.data + event.stream + event.lastEventId;
  console.log(text);
});
source.addEventListener("order", (event) => console.log(event.data.length));
source.addEventListener("millstream:refused", ({ detail }) => console.log(detail.status.toFixed()));
const element: MillstreamSourceElement = document.createElement("millstream-source");
element.addEventListener("millstream:connected", ({ detail }) => console.log(detail.connectionId.length));
element.addEventListener("presence", (event) => console.log(event.data, element.present.toFixed()));
document.addEventListener("millstream:closed", ({ detail }) => console.log(detail.reason, detail.retryMs));
source.close();
"""
MISUSES = [
    'new MillstreamSource();',
    'new MillstreamSource("a", {sinceID: 1});',
    'new MillstreamSource("a").addEventListener("millstream:gap", ({ detail }) => detail.connectionId);',
    'const number: number = document.createElement("millstream-source").connectionId;',
]


def tsc(*arguments, folder=None):
    """What it complains of."""
    done = subprocess.run([*TSC, *arguments], cwd=folder, capture_output=True, text=True)
    assert (done.returncode == 0) == (done.stdout == ""), done
    return done.stdout


def test_the_module_fits_its_types():
    assert tsc("--allowJs", "--checkJs", str(SOURCE / "millstream.js")) == ""


def test_a_program_in_typescript(tmp_path):
    for name in ("millstream.js", "millstream.d.ts"):
        (tmp_path / name).write_text((SOURCE / name).read_text())
    (tmp_path / "consumer.ts").write_text("\n".join([*MISUSES, CONSUMER]))
    complaints = tsc("--strict", "consumer.ts", folder=tmp_path)
    assert re.findall(r"^consumer\.ts\((\d+)", complaints, re.M) == ["1", "2", "3", "4"], complaints


@pytest.fixture
def article_page(tmp_path):
    """The folder of the article's reader, served as the article says; gives the page's origin and address of
    the streams."""
    listen, port = f"127.0.0.1:{free_port()}", free_port()
    (page,) = blocks("Browser", "html")
    assert page.count("127.0.0.1:8080") == 2
    (tmp_path / "index.html").write_text(page.replace("127.0.0.1:8080", listen))
    line = command("Browser", "python3 -m http.server").split()
    assert line[3] == "8000"
    process = subprocess.Popen([sys.executable, *line[1:3], str(port), *line[4:]], cwd=tmp_path,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield SimpleNamespace(listen=listen, origin=f"http://127.0.0.1:{port}", port=port)
    process.kill()
    process.wait()


def test_the_page_of_the_article(serve, native_database, browser, article_page):
    flags = shlex.split(command("Browser", "millstream serve"))[2:]
    assert flags[-1] == "http://127.0.0.1:8000"
    serve(native_database, *flags[:-1], article_page.origin, listen=article_page.listen)
    wait_until(lambda: is_listening(article_page.port), "the page's server")
    page = browser.open(article_page.origin + "/")
    try:
        page.wait_for("document.querySelector('millstream-source[connected]')")
        line = shlex.split(command("Browser", "millstream publish"))[1:]
        assert run(*line, "--database", native_database).returncode == 0
        page.wait_for("document.querySelector('#list').innerText == 'hello'")
        assert page.errors == []
    finally:
        page.command("Page.close")
        page.close()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
