"""A store that is not in the database, or that the role may not read: clients wait, and operators are told."""

import re

import pytest
from harness.admin import Admin
from harness.native import Publisher
from harness.postgres import execute
from harness.server import native_path, run
from harness.waiting import wait_until

ROLE = "store_access_test"
LINE = "warning a store cannot be read"


@pytest.fixture
def role(full_database):
    """The full database for a role that may use nothing in it, and what grants it something."""
    execute(full_database, f"create role {ROLE} login")
    yield full_database.replace("user=postgres", f"user={ROLE}"), lambda sql: execute(full_database, sql + ROLE)
    execute(full_database, f"drop owned by {ROLE}; drop role {ROLE}")


def stores(server):
    """What the metrics say of each store, once they say something."""

    def found():
        return {
            re.search('store="(.*?)"', sample)[1]: value
            for sample, value in Admin(server).metrics().items()
            if sample.startswith("millstream_store_available")
        }

    return wait_until(found, "what is known of the stores")


def cut(database):
    """Ends the sessions of servers, which come back."""
    execute(
        database,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like 'millstream%' and datname = current_database()",
    )


def warnings(server):
    return [re.search("store=(.*)", line)[1] for line in server.log if LINE in line]


@pytest.mark.parametrize("loops", ["1", "3"])
def test_a_schema_that_is_missing_is_said_once_and_may_come(serve, database, loops):
    server = serve(database, "--store", "native", "--loops", loops, admin="127.0.0.1:0")
    line = server.wait_for_line(LINE, "the warning")
    assert "millstream doctor" in line and "schema millstream" in line and "store=native" in line
    assert stores(server) == {"native": 0}
    with server.open("chat", path=native_path("chat")) as client:
        assert client.head.status == 200
        cut(database)
        wait_until(lambda: Admin(server).sum("millstream_postgres_reconnects_total", session="read"), "the session")
        # Streams that do not exist are in order.
        assert Admin(server).sum("millstream_postgres_refusals_total") == 0
        assert run("install", "--database", database).returncode == 0
        wait_until(lambda: Admin(server).causes() == [], "readiness")
        cut(database)
        server.wait_for_line(" notice a store can be read now .*store=native", "the word that it came")
        assert stores(server) == {"native": 1}
        with Publisher(database, "chat") as publisher:
            publisher.send("there")
        assert client.broadcast(limit=20).data == "there"
    assert warnings(server) == ["native"]


def test_of_two_stores_one_will_do(serve, pgmq_database, native_database):
    for database, store in ((pgmq_database, "pgmq"), (native_database, "native")):
        server = serve(database, admin="127.0.0.1:0")
        assert stores(server) == {store: 1}
        assert warnings(server) == []


def test_without_either_both_are_named(serve, database):
    server = serve(database, admin="127.0.0.1:0")
    assert stores(server) == {"native": 0, "pgmq": 0}
    assert sorted(warnings(server)) == ["native", "pgmq"]


def test_grants_that_are_missing_are_said(serve, role):
    database, grant = role
    server = serve(database, "--loops", "2", admin="127.0.0.1:0")
    line = server.wait_for_line(LINE, "the warning")
    assert "this role may not read" in line
    assert stores(server) == {"native": 0, "pgmq": 0}
    with server.open("chat", path=native_path("chat")):
        line = server.wait_for_line(" error postgres refuses to read a stream .*sqlstate=42501", "the refusal")
        assert Admin(server).sum("millstream_postgres_refusals_total") >= 1
    grant("grant usage on schema pgmq to ")
    grant("grant usage on schema millstream to ")
    grant("grant select on millstream.streams, millstream.messages to ")
    cut(database.replace(ROLE, "postgres"))
    wait_until(lambda: stores(server) == {"native": 1, "pgmq": 1}, "the grants")
