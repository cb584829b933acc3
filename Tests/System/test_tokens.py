"""Proves that tokens (JWT) open what they name and nothing else, that their labels decide what is seen,
and that a connection ends with its token: the real server, and tokens of another implementation."""

import re
import time

import pytest

from harness.names import sign
from harness.pgmq import Queue
from harness.server import run
from harness.tokens import SECRET, bearer, jwks, pem, private_key, token

NATIVE = "/streams/"
QUEUES = "/pgbus/streams/"


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "jwt-secrets"
    path.write_text(SECRET + "\n")
    return str(path)


@pytest.fixture
def token_server(serve, full_database, secret_file):
    return serve(full_database, "--jwt-secret-file", secret_file, "--public", "open:*")


def soon(seconds):
    """A point in time for `exp`."""
    return int(time.time()) + seconds


def status(server, path, *fields):
    with server.get(path, *fields) as client:
        return client.head.status


def refusal(server, path, *fields):
    with server.get(path, *fields) as client:
        return client.head.status, client.body().decode().strip()


# What opens what


def test_a_token_opens_the_streams_that_it_names(token_server):
    field = bearer({"streams": ["room:*", "lobby"], "exp": soon(60)})
    for name in ["room:1", "room%3A1", "lobby", "room:%C3%A9"]:
        assert status(token_server, NATIVE + name, field) == 200, name
        # Without its last letter it would be the queue of `room`.
        assert status(token_server, QUEUES + name, field) == (403 if "%C3" in name else 200), name
    for name in ["room", "lobby2", "Lobby", "room%2A"]:
        assert refusal(token_server, NATIVE + name, field) == (
            403,
            "the token does not name this stream",
        ), name


def test_signed_and_public_names_go_on_working(token_server):
    for path in [NATIVE + sign("room:1"), NATIVE + "open:1"]:
        assert status(token_server, path) == 200
        assert status(token_server, path, bearer({"sub": "me"})) == 200
        assert status(token_server, path, bearer({"exp": soon(-60)})) == 401


@pytest.mark.parametrize(
    "place",
    [
        lambda text: (NATIVE + "room", f"Authorization: Bearer {text}"),
        lambda text: (NATIVE + "room", f"Cookie: theme=dark; millstream_token={text}; x=y"),
        lambda text: (NATIVE + f"room?since=0&token={text}",),
    ],
)
def test_where_a_token_may_stand(token_server, place):
    assert status(token_server, *place(token({"streams": ["room"]}))) == 200
    assert status(token_server, *place(token({"streams": ["room"]}, key="x" * 40))) == 401


@pytest.mark.parametrize(
    "claims, sentence",
    [
        ({"exp": 1_000}, "the token has expired"),
        ({"nbf": 4_000_000_000}, "the token is not valid yet"),
        ({"aud": "others"}, "the token is for another audience"),
        ({"streams": ["x"] * 33}, "the token's claims are malformed, or too many"),
        ({"pad": "x" * 8192}, "the token is over 8192 bytes"),
    ],
)
def test_refusals_are_sentences(token_server, claims, sentence):
    got = refusal(token_server, NATIVE + "room", bearer({"streams": ["*"]} | claims))
    assert got == (401, sentence)


def test_without_a_token(token_server):
    with token_server.get(NATIVE + "room") as client:
        assert (client.head.status, client.head["www-authenticate"]) == (401, "Bearer")


def test_unsigned_tokens_are_refused(token_server):
    claims = {"streams": ["*"]}
    text = token(claims, key=None, algorithm="none")
    assert status(token_server, NATIVE + "room", f"Authorization: Bearer {text}") == 401
    whole = token(claims)
    without_signature = whole[: whole.rindex(".") + 1]
    assert status(token_server, NATIVE + "room?token=" + without_signature) == 401


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_public_keys(serve, native_database, tmp_path, algorithm):
    key, other = private_key(algorithm), private_key(algorithm)
    (tmp_path / "keys.pem").write_bytes(pem(private_key(algorithm)) + pem(key))
    (tmp_path / "keys.json").write_text(jwks(a=key, b=private_key(algorithm)))
    by_pem = serve(native_database, "--jwt-key-file", str(tmp_path / "keys.pem"))
    by_set = serve(native_database, "--jwks-file", str(tmp_path / "keys.json"))
    claims = {"streams": ["room"]}
    for server in [by_pem, by_set]:
        for kid in [None, "a"]:
            field = bearer(claims, key, algorithm, kid=kid)
            assert status(server, NATIVE + "room", field) == 200
        assert status(server, NATIVE + "room", bearer(claims, other, algorithm)) == 401
    for kid in ["b", "c"]:
        field = bearer(claims, key, algorithm, kid=kid)
        assert status(by_set, NATIVE + "room", field) == 401


def test_audience_and_issuer(serve, native_database, secret_file):
    server = serve(
        native_database, "--jwt-secret-file", secret_file, "--jwt-audience", "live",
        "--jwt-issuer", "app",
    )  # fmt: skip
    good = {"streams": ["room"], "aud": ["live", "x"], "iss": "app"}
    assert status(server, NATIVE + "room", bearer(good)) == 200
    for change in [{"aud": "x"}, {"iss": "y"}]:
        assert status(server, NATIVE + "room", bearer(good | change)) == 401


def test_nothing_of_a_token_is_logged(serve, native_database, secret_file):
    server = serve(
        native_database, "--jwt-secret-file", secret_file, "--log-level", "trace",
    )  # fmt: skip
    texts = [token({"streams": ["room"]}), token({"exp": 1}), token({"streams": []})]
    for text in texts:
        status(server, NATIVE + f"room?token={text}")
    server.stop()
    for text in texts:
        assert not any(part in server.log_text() for part in text.split("."))
    assert re.search(r" refusedTokens=1\b", server.log_text())


# What a token says of who shows it


def test_labels_decide_what_is_seen(token_server, full_database, publisher_of):
    admins = bearer({"streams": ["chat"], "labels": ["admins", "staff"]})
    others = bearer({"streams": ["chat"], "labels": ["guests"]})
    for prefix in [NATIVE, QUEUES]:
        send = publisher_of(prefix, "chat")
        with (
            token_server.get(prefix + "chat?since=0", admins) as admin,
            token_server.get(prefix + "chat?since=0", others) as other,
            token_server.get(prefix + sign("chat") + "?since=0") as stranger,
        ):
            for client in (admin, other, stranger):
                client.connection_id()
            send("secret", visible_to="admins")
            send("open")
            assert [block.data for block in admin.broadcasts(2)] == ["secret", "open"]
            assert other.broadcast().data == "open"
            assert stranger.broadcast().data == "open"
        # The same for what is read again.
        with token_server.get(prefix + "chat?since=0", others) as other:
            assert other.broadcast().data == "open"
        with token_server.get(prefix + "chat?since=0", admins) as admin:
            assert admin.broadcast().data == "secret"


@pytest.fixture
def publisher_of(full_database):
    """Makes functions that publish to a stream of the store behind a prefix."""
    from harness.native import Publisher

    opened = []

    def make(prefix, stream):
        maker = Publisher if prefix == NATIVE else lambda *which: Queue(*which).create()
        opened.append(maker(full_database, stream))
        return opened[-1].send

    yield make
    for sender in opened:
        sender.close()


# Its end


def test_the_connection_ends_with_its_token(token_server, publisher_of):
    send = publisher_of(NATIVE, "chat")
    end = soon(3)
    with (
        token_server.get(NATIVE + "chat", bearer({"streams": ["chat"], "exp": end})) as client,
        token_server.get(NATIVE + "chat", bearer({"streams": ["chat"]})) as other,
    ):
        client.connection_id()
        other.connection_id()
        send("before")
        assert client.broadcast().data == "before"
        blocks = client.read_to_end()
        assert end <= time.time() < end + 10
        last = blocks[-1].raw
        assert last == b'event: millstream:expired\ndata: {"reason":"expired"}\n\n'
        send("after")
        assert [block.data for block in other.broadcasts(2)] == ["before", "after"]
    token_server.stop()
    assert re.search(r" expired=1\b", token_server.log_text())


# Files that are not in order


@pytest.mark.parametrize(
    "flag, content, reason",
    [
        ("--jwt-secret-file", "# none\n", "there is no secret in"),
        ("--jwt-key-file", "nonsense", "no key in it"),
        ("--jwt-key-file", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"),
        ("--jwks-file", "{}", "no JSON Web Key Set"),
        ("--jwks-file", '{"keys":[]}', "no key in it"),
        ("--jwt-audience", None, "need"),
    ],
)
def test_configurations_that_are_refused(tmp_path, flag, content, reason):
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    refused = run("serve", flag, str(path))
    assert refused.returncode == 64
    assert reason in refused.stderr.decode()
