"""The status page: what it says, who may do what with it, and how it looks in a real browser."""

import contextlib
import json
import select
import signal
import socket
import time

import pytest

from harness.admin import Admin
from harness.application import Application
from harness.client import request
from harness.crowd import Crowd
from harness.manystreams import ManyStreams
from harness.native import Publisher
from harness.ports import free_port
from harness.server import native_path, run, stream_path
from harness.sse import Stream
from harness.thread_stop import last_thread, stopped
from harness.waiting import wait_until

TOKEN = "an-operator's-token"
WATCHERS = 16


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return str(path)


@pytest.fixture
def observed(serve, full_database):
    """Starts a server with an admin address; gives both."""

    def start(*flags, admin="127.0.0.1:0", **options):
        server = serve(full_database, *flags, admin=admin, **options)
        return server, Admin(server)

    return start


@pytest.fixture
def guarded(observed, token_file):
    """A server on two loops whose operators have a token."""
    return observed("--loops", "2", "--admin-token-file", token_file)


@pytest.fixture
def chat(full_database):
    """Publishes to the stream `chat` of the native store."""
    with Publisher(full_database, "chat") as publisher:
        yield publisher


def crowd_of(server, count, name="chat"):
    crowd = Crowd(server.open(name, path=native_path(name)) for _ in range(count))
    return crowd


def operator(token=TOKEN):
    return {"Authorization": f"Bearer {token}"}


def close(admin, query, **fields):
    status, _, body = admin.ask(f"/close?{query}", method="POST", **(fields or operator()))
    return json.loads(body)["closed"] if status == 200 else status


def now(admin):
    return admin.status()["snapshot"]


def connected(admin):
    return sum(now(admin)["connections"][state] for state in ("opening", "catchingUp", "live"))


class Watcher:
    """One that watches `/status`."""

    def __init__(self, admin):
        self.socket = socket.create_connection(admin.address, timeout=30)
        self.socket.sendall(request("/status"))
        self.stream = Stream()

    def next(self, event, limit=30):
        """What the next event of that name says."""
        deadline = time.monotonic() + limit
        while True:
            while self.stream.blocks:
                block = self.stream.blocks.pop(0)
                if block.event == event:
                    return json.loads(block.data)
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.socket], [], [], left)[0], f"no {event}"
            data = self.socket.recv(1 << 18)
            assert data, "the server closed"
            self.stream.feed(data)

    def close(self):
        self.socket.close()


# What it says


def test_figures_are_those_of_all_loops(guarded, chat):
    server, admin = guarded
    with crowd_of(server, 12):
        wait_until(lambda: connected(admin) == 12, "twelve connections")
        chat.send("x" * 1_000)
        wait_until(lambda: now(admin)["bytes"] > 12_000, "the delivery")
        snapshot = now(admin)
        assert snapshot["opened"] == 12 and snapshot["deliveries"] >= 12
        assert [loop["number"] for loop in snapshot["loops"]] == [0, 1]
        assert sum(loop["connections"]["live"] for loop in snapshot["loops"]) == 12
        sessions = [s["name"] for loop in snapshot["loops"] for s in loop["sessions"]]
        assert sorted(sessions) == ["listen", "read", "read"]
        assert all(s["ready"] for loop in snapshot["loops"] for s in loop["sessions"])
    wait_until(lambda: now(admin)["closed"]["clientGone"] == 12, "the ends of all")


def test_history_is_there_for_who_comes_late(observed):
    _, admin = observed()
    wait_until(lambda: len(admin.status()["history"]["points"]) >= 3, "three seconds")
    watcher = Watcher(admin)
    history = watcher.next("history")
    assert len(history["points"]) >= 3
    assert all(len(point) == len(history["columns"]) for point in history["points"])
    first = watcher.next("snapshot")
    later = watcher.next("snapshot")
    while later["number"] == first["number"]:
        later = watcher.next("snapshot")
    assert len(later["point"]) == len(history["columns"])
    watcher.close()


def test_busiest_streams_on_both_stores(guarded, chat, full_database):
    """Connections are added up over the loops; messages come to each and count once."""
    server, admin = guarded
    queue_path = stream_path("orders")
    with crowd_of(server, 9), crowd_of(server, 2, "quiet"), contextlib.closing(
        server.open("orders", path=queue_path)
    ):
        wait_until(lambda: connected(admin) == 12, "all")

        def rates():
            chat.send("x")
            return {
                (item["store"], item["stream"]): (item["connections"], item["messagesPerSecond"])
                for item in now(admin)["busiest"]
            }

        wait_until(lambda: (rates().get(("native", "chat"), (0, 0))[1] or 0) > 1, "a rate")
        found = rates()
        assert found["native", "chat"][0] == 9
        assert found["native", "quiet"] == (2, 0)
        assert found["pgmq", "orders"][0] == 1


def test_slow_clients_are_named(observed, chat):
    server, admin = observed("--write-deadline", "60s", "--minimum-rate", "0")
    slow = server.open("chat", path=native_path("chat"), receive_buffer_bytes=4096)
    with contextlib.closing(slow):
        wait_until(lambda: connected(admin) == 1, "it")

        def found():
            chat.send("x" * 200_000)
            return now(admin)["slow"]

        (client,) = wait_until(found, "a slow client")
        assert client["address"] == "{}:{}".format(*slow.socket.getsockname())
        assert client["stream"] == "chat" and client["heldBytes"] > 0
        wait_until(lambda: now(admin)["slow"][0]["blockedMs"] > client["blockedMs"], "more time")


def test_a_slow_client_of_many_streams_is_one(observed, token_file, chat):
    """One of its streams is closed alone; its connection goes as a whole."""
    server, admin = observed("--write-deadline", "60s", "--minimum-rate", "0",
                             "--admin-token-file", token_file)
    slow = ManyStreams(server, "chat", "other", "third", options={"receive_buffer_bytes": 4096})

    def found():
        chat.send("x" * 200_000)
        return now(admin)["slow"]

    (client,) = wait_until(found, "a slow client")
    assert (client["stream"], client["streams"]) == ("chat", 3)
    assert connected(admin) == 1
    standing = {item["stream"]: item["connections"] for item in now(admin)["busiest"]}
    assert standing == {"chat": 1, "other": 1, "third": 1}
    assert close(admin, "stream=third&store=native") == 1

    def streams():
        return {item["stream"] for item in now(admin)["busiest"] if item["connections"]}

    wait_until(lambda: streams() == {"chat", "other"}, "it is gone from that stream")
    assert connected(admin) == 1
    assert close(admin, f"connection={slow.id}") == 1
    wait_until(lambda: connected(admin) == 0, "it is gone")
    slow.client.close()


def test_a_member_of_one_of_several_streams_is_closed(observed, token_file):
    """The application may say of each stream of a connection that it is another's."""

    def answer(path, headers):
        return 200, {"member": "m-" + headers["X-Millstream-Stream"]}

    with Application(answer) as application:
        server, admin = observed(
            "--admin-token-file", token_file, "--authorize-url", application.url, "--public", "*")
        with ManyStreams(server, "a", "b", signed=False) as many:
            assert close(admin, "member=m-c") == 0
            assert close(admin, "member=m-b") == 1
            many.client.read_to_end()


def test_a_loop_that_hangs_is_said(guarded):
    server, admin = guarded
    wait_until(lambda: all(loop["up"] for loop in now(admin)["loops"]), "both")
    with stopped(last_thread(server.process)):
        wait_until(lambda: not now(admin)["loops"][1]["up"], "the silence of the second")
        assert now(admin)["loops"][0]["up"]
        _, _, body = admin.ask("/close?stream=chat&store=native", "POST", **operator())
        assert json.loads(body) == {"closed": 0, "silentLoops": 1}


# Who may what


def test_pages_of_other_sites_take_no_places(observed):
    _, admin = observed()
    other = {"Sec-Fetch-Site": "cross-site"}
    for path in ("/status", "/status.json", "/stream?name=a&store=native"):
        assert admin.ask(path, **other)[0] == 403
    assert admin.ask("/", **other)[0] == 200
    assert admin.ask("/status.json", **{"Sec-Fetch-Site": "same-origin"})[0] == 200


def test_names_of_others_are_refused(observed):
    """A page of somebody else's whose name leads here: DNS rebinding."""
    _, admin = observed("--admin-host", "status.internal")
    for path in ("/", "/status", "/status.json", "/stream?name=a&store=native"):
        status, _, body = admin.ask(path, Host="evil.example:9464")
        assert status == 403 and "--admin-host" in body, (path, status)
    assert admin.ask("/close?member=m", "POST", Host="evil.example")[0] == 403
    for host in ("localhost", "127.0.0.1:1", "[::1]:9464", "STATUS.internal:9464"):
        assert admin.ask("/", Host=host)[0] == 200, host
    assert admin.ask("/metrics", Host="prometheus.example")[0] == 200


def test_without_a_token_nobody_may_do_anything(observed, chat):
    server, admin = observed()
    with crowd_of(server, 1):
        wait_until(lambda: connected(admin) == 1, "one")
        assert now(admin)["actions"] is False
        assert admin.ask("/stream?name=chat&store=native", **operator())[0] == 404
        assert close(admin, "stream=chat&store=native") == 404
        assert connected(admin) == 1


def test_the_token_is_needed(guarded, chat):
    server, admin = guarded
    with crowd_of(server, 1):
        wait_until(lambda: connected(admin) == 1, "one")
        for fields in (
            {"Accept": "*/*"}, operator("another-token-of-it"), operator(TOKEN[:-1]),
            {"Authorization": TOKEN}, {"Cookie": f"token={TOKEN}"},
        ):
            assert close(admin, "stream=chat&store=native", **fields) == 401, fields
            assert admin.ask("/stream?name=chat&store=native", **fields)[0] == 401, fields
        assert admin.ask("/stream?name=chat&store=native", **operator("x" * 20))[2] == "the token is another\n"
        assert "Authorization: Bearer" in admin.ask("/stream?name=chat&store=native")[2]
        assert admin.ask("/close?stream=chat&store=native", **operator())[0] == 405
        assert connected(admin) == 1
        assert TOKEN not in server.log_text()


def test_closing(guarded, chat):
    server, admin = guarded
    with crowd_of(server, 6), crowd_of(server, 3, "other"):
        client = server.subscribe("chat", path=native_path("chat"))
        wait_until(lambda: connected(admin) == 10, "all")
        assert close(admin, f"connection={client.id}") == 1
        client.read_to_end()
        assert close(admin, f"connection={client.id}") == 0
        assert close(admin, "stream=chat&store=native") == 6
        assert close(admin, "stream=chat&store=native") == 0
        assert close(admin, "stream=chat&store=pgmq") == 0
        assert close(admin, "member=nobody") == 0
        for query in ("", "connection=xyz", "stream=chat", "stream=chat&store=x", "member=a&connection=b"):
            assert close(admin, query) == 400, query
        wait_until(lambda: connected(admin) == 3, "the others alone")
        assert now(admin)["closed"]["requested"] == 7
    server.wait_for_line("an operator closes connections", "who closed what")


def test_looking_into_a_stream(guarded, chat):
    server, admin = guarded
    with crowd_of(server, 5) as crowd:
        wait_until(lambda: now(admin)["connections"]["live"] == 5, "all")
        for text in ("first", "second", "z" * 5_000):
            chat.send(text)
        crowd.broadcasts(3)

        def look():
            status, _, body = admin.ask("/stream?name=chat&store=native", **operator())
            assert status == 200, (status, body)
            return json.loads(body)

        stream = look()
        assert sum(loop["live"] for loop in stream["loops"]) == 5
        assert {loop["tip"] for loop in stream["loops"]} == {3}
        assert all(loop["reader"] in ("following", "reading", "looking") for loop in stream["loops"])
        assert [frame["id"] for frame in stream["frames"]] == [3, 2, 1]
        assert "data: second\n" in stream["frames"][1]["text"]
        assert stream["frames"][0]["bytes"] > 5_000 and len(stream["frames"][0]["text"]) == 2_048
    assert admin.ask("/stream?name=none&store=native", **operator())[0] == 404


@pytest.mark.parametrize("content", ["", "short\n", "with blanks in it, and long enough\n"])
def test_a_token_that_is_none(full_database, tmp_path, content):
    (tmp_path / "token").write_text(content)
    done = run("serve", "--database", full_database, "--admin-token-file", str(tmp_path / "token"))
    said = done.stderr.decode()
    assert done.returncode == 64 and "--admin-token-file" in said
    assert not content.strip() or content.strip() not in said


# Those who watch


def test_so_many_may_watch(observed):
    _, admin = observed()
    watchers = [Watcher(admin) for _ in range(WATCHERS)]
    for watcher in watchers:
        watcher.next("snapshot")
    assert admin.ask("/status")[0] == 503
    watchers.pop().close()

    def another():
        watcher = Watcher(admin)
        try:
            watcher.next("snapshot")
            return watcher
        except (AssertionError, ConnectionError, json.JSONDecodeError):
            watcher.close()

    watchers.append(wait_until(another, "room for another"))
    for watcher in watchers:
        watcher.close()


def test_one_that_reads_nothing_is_let_go(observed):
    """It holds nobody up, and no more than a bound is kept for it."""
    server, admin = observed()
    descriptors = server.descriptor_count()
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.connect(admin.address)
    slow.sendall(request("/status"))
    with crowd_of(server, 200):
        wait_until(lambda: server.descriptor_count() >= descriptors + 201, "all are there")
        other = Watcher(admin)
        for _ in range(3):
            other.next("snapshot")
        other.close()
    slow.close()
    wait_until(lambda: server.descriptor_count() <= descriptors, "all have gone")


# In a browser


def live(page):
    page.wait_for("document.querySelector('#state').dataset.state === 'live'", "the page is live",
                  show="document.querySelector('#state').textContent")


def text(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


@pytest.fixture
def open_page(browser):
    """Opens pages; none may leave an exception, or ask anybody but its server."""
    pages = []

    def start(admin, width=1280, height=900, phone=False, **features):
        page = browser.open("about:blank", width, height)
        pages.append((page, admin))
        page.resize(width, height, phone)
        if features:
            page.prefer(**features)
        page.go(admin.url)
        live(page)
        return page

    yield start
    for page, admin in pages:
        page.evaluate("0")
        errors, requests = page.errors, page.requests
        page.command("Page.close")
        page.close()
        assert errors == []
        assert all(url.startswith((admin.url, "data:", "about:")) for url in requests), requests


def test_figures_change_and_lines_are_drawn(observed, chat, open_page):
    server, admin = observed()
    page = open_page(admin)
    page.wait_for("document.querySelector('#connections-now').dataset.value === '0'", "none yet")
    with crowd_of(server, 7):
        page.wait_for("document.querySelector('#connections-now').dataset.value === '7'", "seven")
        page.wait_for("document.querySelector('#streams tr[data-stream=chat] .number').textContent === '7'",
                      "the stream with its connections")

        def delivered():
            chat.send("hello")
            return page.evaluate("Number(document.querySelector('#deliveries-now').dataset.value) > 0")

        wait_until(delivered, "deliveries")
        assert page.evaluate("document.querySelectorAll('.chart').length") == 8
        page.wait_for("document.querySelectorAll('.chart .first').length === 8", "eight lines")
        page.wait_for("[...document.querySelectorAll('#chart-deliveries .first')].every("
                      "(path) => (path.getAttribute('d').match(/[ML]/g) || []).length > 2)", "a line")
        label = page.evaluate("document.querySelector('#chart-connections svg').getAttribute('aria-label')")
        assert label.startswith("Connections: now 7"), label
        axis = page.evaluate("[...document.querySelectorAll('#chart-deliveries text')].map((t) => t.textContent)")
        assert "now" in axis and "−5 min" in axis and "0" in axis, axis
        assert text(page, "#health") == "all ready"
    page.wait_for("document.querySelector('#closed-clientGone')?.textContent === '7'", "their ends")


def test_the_page_hides_what_nobody_may_do(observed, open_page, chat):
    server, admin = observed()
    with crowd_of(server, 1):
        page = open_page(admin)
        page.wait_for("document.querySelector('#streams tr[data-stream=chat]') !== null", "the stream")
        assert page.evaluate("document.querySelector('#operator').hidden")
        assert page.evaluate("document.querySelectorAll('#streams tbody button').length") == 0


def test_closing_from_the_page(guarded, chat, open_page):
    server, admin = guarded
    with crowd_of(server, 4):
        page = open_page(admin)
        page.wait_for("document.querySelector('#streams tr[data-stream=chat] .acts button') !== null", "buttons")
        press = "document.querySelector('#streams tr[data-stream=chat] .acts button:last-child').click()"
        page.evaluate(press)
        page.wait_for("document.querySelector('#said').textContent.includes('token')", "asks for the token")
        page.type_text("#token", "not-the-token-at-all")
        page.evaluate(press)
        page.click("#ask-yes")
        page.wait_for("document.querySelector('#said').dataset.kind === 'bad' && "
                      "document.querySelector('#said').textContent.includes('another')", "a refusal",
                      show="document.querySelector('#said').textContent")
        assert connected(admin) == 4
        page.evaluate("document.querySelector('#token').value = ''")
        page.type_text("#token", TOKEN)
        page.evaluate(press)
        page.click("#ask-no")
        assert connected(admin) == 4
        page.evaluate(press)
        page.click("#ask-yes")
        page.wait_for("document.querySelector('#said').textContent === '4 connections are closed.'",
                      "they are closed", show="document.querySelector('#said').textContent")
        page.wait_for("document.querySelector('#connections').textContent === '0'", "none is left")


def test_closing_one_slow_client_from_the_page(observed, token_file, chat, open_page):
    server, admin = observed("--write-deadline", "60s", "--minimum-rate", "0",
                             "--admin-token-file", token_file)
    slow = server.open("chat", path=native_path("chat"), receive_buffer_bytes=4096)
    page = open_page(admin)

    def shown():
        chat.send("x" * 200_000)
        return page.evaluate("document.querySelector('#slow tr[data-connection] button') !== null")

    wait_until(shown, "the slow client is shown")
    page.type_text("#token", TOKEN)
    page.evaluate("document.querySelector('#slow tr[data-connection] button').click()")
    page.click("#ask-yes")
    page.wait_for("document.querySelector('#closed-requested')?.textContent === '1'", "it is closed")
    slow.close()


def test_looking_from_the_page(guarded, chat, open_page):
    """What was published is shown as text, whatever it is."""
    server, admin = guarded
    with crowd_of(server, 2) as crowd:
        wait_until(lambda: now(admin)["connections"]["live"] == 2, "both")
        chat.send("<img src=x onerror='document.title=1'>")
        crowd.broadcasts(1)
        page = open_page(admin)
        page.type_text("#token", TOKEN)
        page.wait_for("document.querySelector('#streams tr[data-stream=chat] .link') !== null", "the stream")
        page.evaluate("document.querySelector('#streams tr[data-stream=chat] .link').click()")
        page.wait_for("document.querySelector('#look').open", "it opens")
        assert "<img src=x" in text(page, "#look-body pre")
        assert page.evaluate("document.querySelector('#look-body img')") is None


def test_loss_and_return(serve, full_database, open_page):
    """The page says that the server has gone, and goes on by itself."""
    address = f"127.0.0.1:{free_port()}"
    server = serve(full_database, admin=address)
    admin = Admin(server)
    page = open_page(admin)
    server.stop()
    page.wait_for("document.querySelector('#state').dataset.state === 'lost'", "it says so")
    assert not page.evaluate("document.querySelector('#lost').hidden")
    assert "does not answer" in text(page, "#lost")
    serve(full_database, admin=address)
    live(page)
    assert page.evaluate("document.querySelector('#lost').hidden")


def test_a_server_that_hangs_is_noticed(observed, open_page):
    server, admin = observed()
    page = open_page(admin)
    server.send_signal(signal.SIGSTOP)
    try:
        page.wait_for("document.querySelector('#state').dataset.state === 'lost'", "it says so")
    finally:
        server.send_signal(signal.SIGCONT)
    live(page)


@pytest.mark.parametrize("width", [360, 390, 768])
def test_nothing_sticks_out_on_a_phone(guarded, chat, open_page, width):
    server, admin = guarded
    name = "a-long-name:" + "x" * 200
    with crowd_of(server, 3), contextlib.closing(server.open(name, path=native_path(name))):
        page = open_page(admin, width, 800, phone=True)
        page.wait_for("document.querySelectorAll('#streams tbody tr').length === 2", "both streams")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = page.evaluate(f"""[...document.querySelectorAll('main *')].filter((node) =>
            node.getClientRects().length && node.getBoundingClientRect().right > {width} + 1
            && !node.closest('.name')).map((node) => node.tagName + '#' + node.id)""")
        assert wide == []


# The contrast of each text with what is behind it (WCAG 2.1, 1.4.3).
CONTRAST = """(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = channels(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.getClientRects().length || ['SCRIPT', 'STYLE', 'OPTION'].includes(node.tagName)) continue;
    const style = getComputedStyle(node);
    const front = luminance(channels(node.ownerSVGElement ? style.fill : style.color));
    const back = luminance(behind(node));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${node.tagName} ${node.textContent.slice(0, 30)}`);
  }
  return low;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_color_schemes_can_be_read(guarded, chat, open_page, scheme):
    server, admin = guarded
    with crowd_of(server, 3):
        page = open_page(admin, color_scheme=scheme)
        page.wait_for("document.querySelector('#streams tr[data-stream=chat]') !== null", "the stream")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0] < 60")
        assert dark == (scheme == "dark")
        assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_words_of_an_axis_do_not_touch(observed, open_page, width):
    _, admin = observed()
    page = open_page(admin, width, 900, phone=width < 700)
    page.wait_for("document.querySelectorAll('.chart .first').length === 8", "eight lines")
    gaps = page.evaluate("""[...document.querySelectorAll('.chart svg')].flatMap((svg) => {
        const words = [...svg.querySelectorAll('text')].map((node) => node.getBoundingClientRect());
        const axis = words.slice(3).sort((one, other) => one.left - other.left);
        return axis.slice(1).map((word, index) => word.left - axis[index].right);
      })""")
    assert len(gaps) >= 16 and min(gaps) >= 6, gaps


@pytest.mark.parametrize("width", [800, 1280, 1600])
def test_what_operators_press_stays_in_its_table(guarded, chat, open_page, width):
    server, admin = guarded
    with crowd_of(server, 3):
        page = open_page(admin, width, 900)
        page.wait_for("document.querySelector('#streams tr[data-stream=chat] .acts button') !== null", "buttons")
        right, button = page.evaluate("""['#streams', '#streams tr[data-stream=chat] .acts button:last-child']
            .map((selector) => document.querySelector(selector).getBoundingClientRect().right)""")
        assert button <= right
        assert page.evaluate("""(() => {
            const [name, buttons] = document.querySelectorAll('#streams tr[data-stream=chat] td:is(:first-child, .acts)');
            return buttons.firstChild.getBoundingClientRect().left - name.getBoundingClientRect().right })()""") > 0


@pytest.mark.parametrize("is_operator", [False, True])
def test_a_long_name_ends_in_an_ellipsis(observed, token_file, open_page, is_operator):
    """And its store is still there."""
    server, admin = observed(*(["--admin-token-file", token_file] if is_operator else []))
    name = "a-long-name:" + "x" * 200
    with contextlib.closing(server.open(name, path=native_path(name))):
        page = open_page(admin)
        page.wait_for("document.querySelector('#streams tbody .name') !== null", "the stream")
        overflow, is_cut, tag, cell = page.evaluate("""(() => {
            const name = document.querySelector('#streams tbody .name'), text = name.querySelector('.mono');
            const right = (node) => node.getBoundingClientRect().right;
            return [getComputedStyle(text).textOverflow, text.scrollWidth > text.clientWidth,
                    right(name.querySelector('.tag')), right(name.closest('td'))] })()""")
        assert overflow == "ellipsis" and is_cut and tag <= cell


def test_the_badge_says_that_postgres_is_away(postgres, observed, open_page):
    _, admin = observed()
    page = open_page(admin)
    page.wait_for("document.querySelector('#state').textContent === 'live'", "all is well")
    green = "getComputedStyle(document.querySelector('#state')).color"
    color = page.evaluate(green)
    postgres.stop()
    try:
        page.wait_for("document.querySelector('#state').textContent.startsWith('Postgres: 0 of ')", "it says so",
                      show="document.querySelector('#state').textContent")
        assert page.evaluate(green) != color
    finally:
        postgres.start()
    page.wait_for("document.querySelector('#state').textContent === 'live'", "it is back")
    assert page.evaluate(green) == color
