"""No secret, and no signed name or token as a whole, is in what the program says: its log at the most talkative
level, metrics, the status page, readiness, and its answers."""

import hashlib
import signal
import time

import pytest

from harness.admin import Admin
from harness.application import Application
from harness.names import sign, sign_in_new_envelope
from harness.native import Publisher
from harness.server import run
from harness.tokens import jwks, private_key, token
from harness.waiting import wait_until

STREAM = "room:1"


def secret(name):
    """One that is easy to be found."""
    return f"{name.replace(' ', '-')}-{hashlib.sha256(name.encode()).hexdigest()}"


class Secrets:
    """All that must not be said, by what it is."""

    def __init__(self):
        self.values = {}

    def add(self, what, value=None):
        """Remembers one, and returns it; one is made if none is given."""
        self.values[what] = value or secret(what)
        return self.values[what]

    def signed(self, what, name, key, sign=sign):
        """A signed name: neither all of it nor its digest is to be said."""
        value = sign(name, key)
        self.add(f"{what}, its digest", value.rpartition("--")[2])
        return self.add(what, value)

    def token(self, what, claims, key):
        """A token: neither all of it nor its signature is to be said."""
        value = token(claims, key)
        self.add(f"{what}, its signature", value.rpartition(".")[2])
        return self.add(what, value)

    def assert_not_in(self, text, where):
        assert text, f"nothing was said in {where}"
        found = [what for what, value in self.values.items() if value in text]
        assert not found, f"{found} in {where}: {text[:2000]}"


@pytest.fixture
def secrets():
    return Secrets()


@pytest.fixture
def application():
    with Application() as application:
        yield application


@pytest.fixture
def start(serve, native_database, secrets, application, tmp_path):
    """Starts a server with everything that is secret, at the level `trace`."""

    def write(name, *lines):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def url_of(database, password):
        settings = dict(setting.split("=") for setting in database.split())
        return "postgresql://{user}:{0}@{host}:{port}/{dbname}".format(password, **settings)

    def start():
        credentials = f"{secrets.add('user of a URL')}:{secrets.add('password of a URL')}@"
        key = secrets.add("query of a URL")
        url = application.url.replace("//", f"//{credentials}")
        config = write(
            "millstream.toml",
            f'database = "{url_of(native_database, secrets.add("database password"))}"',
            f'listen-database = "{url_of(native_database, secrets.add("listen password"))}"',
            f'authorize-url = "{url}?key={key}"',
            f'jwks-url = "{url}?key={key}&keys"',
            'authorize-header = ["X-Tenant"]\npublic = ["public:*"]\nrefuse-softly = "never"',
            f'secret-file = "{write("secrets", secrets.add("signs"), secrets.add("verifies"))}"',
            f'jwt-secret-file = "{write("jwt", secrets.add("tokens"))}"',
            f'admin-token-file = "{write("admin", secrets.add("admin token"))}"',
        )
        return serve(
            None, "--config", config, "--log-level", "trace", "--safety-poll", "100ms", admin="127.0.0.1:0",
        )  # fmt: skip

    return start


def paths(secrets):
    """Asked of the endpoint: each with whether it is let in."""
    good = secrets.signed("good name", STREAM, secret("signs"))
    second = secrets.signed("name by the second secret", STREAM, secret("verifies"))
    bad = secrets.signed("name by another secret", STREAM, secrets.add("another's secret"))
    past = secrets.signed(
        "name that is over", STREAM, secret("signs"),
        lambda name, key: sign_in_new_envelope(name, key, expires="2020-01-01T00:00:00.000Z"),
    )  # fmt: skip
    yield f"/streams/{good}", [], True
    yield f"/streams/{second}", [], True
    for name in (bad, past, good[:-1] + "0", good + "x", "%00" + good, good + "%zz", good * 20):
        yield f"/streams/{name}", [], False
    yield f"/streams?s={good}&s={bad}", [], True
    yield f"/streams/{good}?since=nonsense-{good}", [], False
    yield f"/nothing/{good}", [], False
    yield from tokens(secrets)


def tokens(secrets):
    """Those in each place where one may be."""
    now = int(time.time())
    claims = {"streams": ["room:*"], "exp": now + 600}
    good = secrets.token("good token", claims, secret("tokens"))
    bad = [
        secrets.token("token by another secret", claims | {"x": 1}, secret("somebody else")),
        secrets.token("token that is over", claims | {"exp": now - 600}, secret("tokens")),
        secrets.token("token for another stream", claims | {"streams": ["x"]}, secret("tokens")),
        secrets.add("token that is none"),
    ]
    for value, is_good in [(good, True)] + [(value, False) for value in bad]:
        yield f"/streams/{STREAM}", [f"Authorization: Bearer {value}"], is_good
        yield f"/streams/{STREAM}", [f"Cookie: a=b; millstream_token={value}"], is_good
        yield f"/streams/{STREAM}?token={value}", [], is_good


def ask_all(server, secrets):
    """All of them, and what is no request at all; answers are looked into."""
    cookie = f"Cookie: session={secrets.add('session cookie')}"
    for path, fields, is_good in paths(secrets):
        with server.get(path, cookie, f"X-Tenant: {secrets.add('tenant')}", *fields) as client:
            assert (client.head.status == 200) == is_good, (client.head.status, path, fields)
            if is_good:
                client.connection_id()
            said = client.head.raw + (b"" if is_good else client.body())
            secrets.assert_not_in(said.decode(), f"the answer to {path[:40]}")
    name = sign(STREAM, secret("signs"))
    for raw in (
        f"GET /streams/{name}\r\n\r\n", f"GET /streams/{name} HTTP/9.9\r\n\r\n",
        f"GET /streams/{name} HTTP/1.1\r\nHost: x\r\nbad field {name}\r\n\r\n",
        f"POST /streams/{name} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /streams/{name} HTTP/1.1\r\nHost: x\r\nX: {name * 1000}\r\n\r\n",
    ):  # fmt: skip
        with server.ask(raw.encode()) as client:
            secrets.assert_not_in(client.head.raw.decode() + client.body().decode(), f"the answer to {raw[:30]}")


def ask_operator(server, secrets):
    """What is at the admin address, with and without the right token."""
    admin = Admin(server)
    good = {"Authorization": f"Bearer {secret('admin token')}"}
    bad = {"Authorization": f"Bearer {secrets.add('a wrong admin token')}"}
    for path in ("/metrics", "/status.json", "/readyz", "/healthz", "/nothing", "/"):
        secrets.assert_not_in(admin.ask(path, **bad)[2], path)
    for fields, status in ((good, 200), (bad, 401), ({}, 401)):
        for method, path in (("GET", f"/stream?name={STREAM}&store=native"), ("POST", "/close?stream=none")):
            answer = admin.ask(path, method, **fields)
            secrets.assert_not_in(answer[2], path)
            if status == 401:
                assert answer[0] == 401, answer


def test_nothing_secret_is_said(start, secrets, application, native_database, postgres, tmp_path):
    key_set = jwks(a=private_key("ES256")).encode()
    application.answer = lambda path, headers: (200, key_set) if path.endswith("keys") else (204, b"")
    server = start()
    good = sign(STREAM, secret("signs"))
    with server.subscribe(STREAM, path=f"/streams/{good}") as client:
        with Publisher(native_database, STREAM) as publisher:
            publisher.send("hello")
        assert client.broadcast().data == "hello"
        ask_all(server, secrets)
        ask_operator(server, secrets)
    # The application is of no help.
    application.answer = lambda path, headers: (500, headers["authorization"].encode() * 100)
    fields = [f"Cookie: session={secret('session cookie')}", f"X-Tenant: {secret('tenant')}"]
    with server.get(f"/streams/{good}", *fields) as client:
        assert client.head.status == 503
        secrets.assert_not_in(client.body().decode(), "the answer without the application")
    application.stop()
    with server.get(f"/streams/{good}", *fields) as client:
        assert client.head.status == 503
    reload_badly(server, secrets, tmp_path)
    lose_postgres(server, secrets, postgres)
    server.stop()
    secrets.assert_not_in(server.log_text(), "the log")
    for said in ("connection ended", "postgres is away", "cannot reload", "does not say who may listen"):
        assert said in server.log_text(), f"no {said!r}"


def reload_badly(server, secrets, folder):
    """Files with a fault in the middle of something secret."""
    original = {name: (folder / name).read_text() for name in ("millstream.toml", "secrets", "jwt")}
    faults = {
        "secrets": "hex:" + secrets.add("secret that is not hexadecimal"),
        "jwt": "base64:!" + secrets.add("secret that is not base64"),
        "millstream.toml": f'database = "{secrets.add("text without an end")}\n',
    }
    for name, text in faults.items():
        (folder / name).write_text(text)
        count = server.log_text().count("cannot reload")
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: server.log_text().count("cannot reload") > count, "the refusal")
        (folder / name).write_text(original[name])


def lose_postgres(server, secrets, postgres):
    """Both sessions are gone, and say why."""
    postgres.stop_hard()
    admin = Admin(server)
    causes = wait_until(admin.causes, "a reason not to be ready")
    secrets.assert_not_in("\n".join(causes), "/readyz")
    server.wait_for_line("postgres is away", "the reason")
    secrets.assert_not_in(admin.ask("/status.json")[2], "/status.json")


@pytest.mark.parametrize(
    "url", ["postgres://u:{}@[::1]x/db", "postgres://u:a@{}@127.0.0.1/db", "host=x password=my {}",
            "postgres://u:{}/x@h/db"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["serve", "doctor", "install"])
def test_a_connection_string_that_is_not_in_order(secrets, url, command):
    done = run(command, "--database", url.format(secrets.add("database password")))
    assert done.returncode != 0
    secrets.assert_not_in((done.stdout + done.stderr).decode(), command)
