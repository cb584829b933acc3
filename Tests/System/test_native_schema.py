"""The schema of the native store, on a real Postgres, with several connections at once."""

import json
import pathlib
import random
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import conninfo, errors

SWIFT = pathlib.Path(__file__).parents[2] / "Sources/Millstream/Store/NativeSchema.swift"
NOTIFICATION_BYTES_MAX = 7999
DEADLINE_S = 60


def statement(name):
    """A statement of the streamer, as NativeSchema.swift has it, with psycopg's raw placeholders."""
    return re.search(rf'static let {name} = """\n(.*?)"""', SWIFT.read_text(), re.S)[1]


READ_MESSAGES = statement("readMessages")
READ_POSITIONS = statement("readPositions")
READER_SETTINGS = statement("readerSettings")


def install(database, sql, role=None):
    with psycopg.connect(database) as connection:
        if role:
            connection.execute(f"set role {role}")
            connection.commit()
        connection.execute(sql)


@pytest.fixture
def installed(database, native_sql):
    """The conninfo of a database that has the schema."""
    install(database, native_sql)
    return database


@pytest.fixture
def connect(installed):
    """Opens connections in autocommit mode, and closes them."""
    opened = []

    def open_one(**options):
        opened.append(psycopg.connect(installed, autocommit=True, **options))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def db(connect):
    return connect()


@pytest.fixture
def listener(connect):
    connection = connect()
    connection.execute("listen millstream")
    return connection


def publish(connection, stream, data, *more):
    arguments = ", ".join(["%s"] * (2 + len(more)))
    connection.execute(f"select millstream.publish({arguments})", (stream, data, *more))


def ephemeral(connection, stream, data, *more):
    arguments = ", ".join(["%s"] * (2 + len(more)))
    connection.execute(f"select millstream.publish_ephemeral({arguments})", (stream, data, *more))


def raw(connection, sql, parameters):
    with psycopg.RawCursor(connection) as cursor:
        return cursor.execute(sql, parameters).fetchall()


def read(connection, streams, cursors=None, limit=100000):
    return raw(connection, READ_MESSAGES, (streams, cursors or [0] * len(streams), limit))


def contents(connection, stream):
    return [(row[1], row[2]) for row in read(connection, [stream])]


def position(connection, stream):
    """(epoch, last_id, first_available_id), or None for a stream that is not there."""
    rows = raw(connection, READ_POSITIONS, ([stream],))
    return rows[0][1:] if rows else None


def notes(listener, connection):
    """What was notified by everything that has committed by now."""
    end = f"end {uuid.uuid4()}"
    connection.execute("select pg_notify('millstream', %s)", (end,))
    received = []
    for note in listener.notifies(timeout=DEADLINE_S):
        if note.payload == end:
            return received
        received.append(note.payload)
    raise AssertionError("no notification came")


def in_threads(*jobs):
    """Runs the jobs at once, from one starting line; raises what any of them raised."""
    line = threading.Barrier(len(jobs))

    def run(job):
        line.wait(DEADLINE_S)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


def age_segments(connection):
    connection.execute("update millstream.segments set opened_at = opened_at - interval '1 year'")


def maintain(connection):
    return connection.execute("select * from millstream.maintain()").fetchone()


def rotate(connection):
    """One rotation; the segment that is moved to was emptied by an earlier call."""
    age_segments(connection)
    rotated, _, _ = maintain(connection)
    assert rotated


def drop_all_messages(connection):
    for _ in range(8):
        rotate(connection)


# Installing


def test_installs_twice_and_keeps_what_is_there(installed, native_sql, db):
    publish(db, "a", "one")
    before = position(db, "a")
    db.execute("update millstream.settings set retain_for = '3 days'")
    install(installed, native_sql)
    publish(db, "a", "two")
    assert contents(db, "a") == [(1, "one"), (2, "two")]
    assert position(db, "a")[0] == before[0]
    kept = db.execute("select retain_for = '3 days' from millstream.settings").fetchall()
    assert kept == [(True,)]
    assert db.execute("select version from millstream.schema_version").fetchall() == [(2,)]


def test_brings_version_1_up_to_date(installed, native_sql, db):
    db.execute("drop table millstream.presence_members")
    db.execute("update millstream.schema_version set version = 1")
    publish(db, "a", "one")
    install(installed, native_sql)
    assert db.execute("select version from millstream.schema_version").fetchall() == [(2,)]
    assert db.execute("select count(*) from millstream.presence_members").fetchall() == [(0,)]
    assert contents(db, "a") == [(1, "one")]


def test_installs_at_once(database, native_sql):
    in_threads(*[lambda: install(database, native_sql)] * 4)
    with psycopg.connect(database, autocommit=True) as connection:
        publish(connection, "a", "one")
        assert contents(connection, "a") == [(1, "one")]


def test_installing_again_waits_for_no_publisher(installed, native_sql, connect):
    publisher = connect()
    with publisher.transaction():
        publish(publisher, "a", "one")
        publisher.execute("set constraints all immediate")
        with psycopg.connect(installed, options="-c lock_timeout=5s") as connection:
            connection.execute(native_sql)
    assert contents(publisher, "a") == [(1, "one")]


def test_refuses_a_newer_version(installed, native_sql, db):
    db.execute("update millstream.schema_version set version = 7")
    with pytest.raises(errors.ObjectNotInPrerequisiteState, match="has version 7.*knows version 2"):
        install(installed, native_sql)


@pytest.fixture
def roles(database):
    """Two fresh roles without any right: an owner and a publisher."""
    names = [f"millstream_{kind}_{uuid.uuid4().hex[:8]}" for kind in ("owner", "publisher")]
    with psycopg.connect(database, autocommit=True) as connection:
        for name in names:
            connection.execute(f"create role {name}")
    yield names
    with psycopg.connect(database, autocommit=True) as connection:
        for name in names:
            connection.execute(f"drop owned by {name}")
            connection.execute(f"drop role {name}")


def test_needs_no_superuser(database, native_sql, roles):
    owner, publisher = roles
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'grant create on database "{name}" to {owner}')
        install(database, native_sql, role=owner)
        install(database, native_sql, role=owner)

        connection.execute(f"set role {publisher}")
        with pytest.raises(errors.InsufficientPrivilege):
            publish(connection, "a", "no right")
        connection.execute("reset role")
        connection.execute(f"grant usage on schema millstream to {publisher}")
        connection.execute(f"set role {publisher}")
        with pytest.raises(errors.InsufficientPrivilege):
            publish(connection, "a", "no right")
        connection.execute("reset role")
        connection.execute(
            "grant execute on function millstream.publish, millstream.publish_ephemeral"
            f" to {publisher}"
        )
        connection.execute(f"set role {publisher}")
        publish(connection, "a", "one")
        with connection.transaction():
            publish(connection, "a", "two")
            publish(connection, "b", "one")
        ephemeral(connection, "a", "gone")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("select * from millstream.messages")
        connection.execute(f"set role {owner}")
        assert contents(connection, "a") == [(1, "one"), (2, "two")]
        assert maintain(connection) == (False, False, 0)
        connection.execute("reset role")


def test_works_whatever_the_session_is_set_to(database, native_sql):
    hostile = "-c standard_conforming_strings=off -c search_path=evil,pg_temp,pg_catalog"
    with psycopg.connect(database, options=hostile) as connection:
        connection.execute("create schema evil")
        for name, signature in (("octet_length", "text"), ("to_json", "text")):
            connection.execute(
                f"create function evil.{name}({signature}) returns integer language plpgsql"
                " as $$ begin raise 'hijacked'; end $$"
            )
        connection.execute("create temp table streams (name text)")
        connection.commit()
        connection.execute(native_sql)
        connection.commit()
        publish(connection, "a", 'b\\ack"slash')
        publish(connection, "a", "two")
        connection.commit()
        assert contents(connection, "a") == [(1, 'b\\ack"slash'), (2, "two")]
        with pytest.raises(errors.InvalidParameterValue, match="control character"):
            publish(connection, "a\tb", "x")
        connection.rollback()
        publish(connection, "a-x01-n-r", "the letters of the escapes are no control characters")


def test_works_in_latin1(database, native_sql):
    name = f"millstream_latin1_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            f"create database {name} encoding 'LATIN1' template template0"
            " lc_collate 'C' lc_ctype 'C'"
        )
        try:
            latin1 = conninfo.make_conninfo(database, dbname=name, client_encoding="UTF8")
            install(latin1, native_sql)
            with psycopg.connect(latin1, autocommit=True) as other:
                other.execute("listen millstream")
                publish(other, "é", "é" * 7900)
                publish(other, "é", "é" * 8000)
                first, second = [json.loads(payload) for payload in notes(other, other)]
                assert first["d"] == "é" * 7900 and "d" not in second
                assert [row[0] for row in contents(other, "é")] == [1, 2]
        finally:
            connection.execute(f"drop database {name} with (force)")


# Ids


def test_ids_have_no_holes_and_are_in_commit_order(connect):
    """Every snapshot of a stream is 1...n: an id never turns up below one that was visible."""
    streams = [f"s{n}" for n in range(5)]
    writers, rounds = 8, 60
    done = threading.Event()
    committed = [dict.fromkeys(streams, 0) for _ in range(writers)]

    def write(writer):
        connection = connect()
        generator = random.Random(writer)
        for turn in range(rounds):
            chosen = [generator.choice(streams) for _ in range(generator.randint(1, 4))]
            with connection.transaction() as transaction:
                for stream in chosen:
                    publish(connection, stream, f"{writer}.{turn}")
                    if generator.random() < 0.2:
                        with connection.transaction() as inner:
                            publish(connection, generator.choice(streams), "rolled back")
                            raise psycopg.Rollback(inner)
                if generator.random() < 0.3:
                    raise psycopg.Rollback(transaction)
            if transaction.status is transaction.Status.COMMITTED:
                for stream in chosen:
                    committed[writer][stream] += 1

    def watch():
        connection = connect()
        snapshots = 0
        while not done.is_set():
            rows = connection.execute(
                "select count(*), min(id), max(id) from millstream.messages group by stream_id"
            ).fetchall()
            assert all((least, most) == (1, count) for count, least, most in rows), rows
            snapshots += 1
        return snapshots

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            in_threads(*[lambda n=n: write(n) for n in range(writers)])
        finally:
            done.set()
        assert watching.result() > 0

    db = connect()
    for stream in streams:
        expected = sum(counts[stream] for counts in committed)
        rows = contents(db, stream)
        assert [id for id, _ in rows] == list(range(1, expected + 1))
        assert position(db, stream)[1:] == (expected, 1)
        for writer in range(writers):
            turns = [int(data.split(".")[1]) for _, data in rows if data.startswith(f"{writer}.")]
            assert turns == sorted(turns)
    assert db.execute("select count(*) from millstream.outbox").fetchone() == (0,)


def test_notifications_come_in_id_order(connect, listener):
    def write(writer):
        connection = connect()
        for turn in range(40):
            with connection.transaction():
                publish(connection, "a", f"{writer}.{turn}")
                publish(connection, f"own {writer}", "x")

    in_threads(*[lambda n=n: write(n) for n in range(4)])
    received = [json.loads(payload) for payload in notes(listener, connect())]
    assert [note["i"] for note in received if note["s"] == "a"] == list(range(1, 161))


def test_opposite_orders_never_deadlock(connect):
    """Each round is of streams that nobody has made yet, so that making them is part of it."""
    workers, rounds = 6, 25
    line = threading.Barrier(workers)

    def write(worker):
        connection = connect()
        generator = random.Random(worker)
        for turn in range(rounds):
            streams = [f"{turn}.{n}" for n in range(6)]
            generator.shuffle(streams)
            line.wait(DEADLINE_S)
            with connection.transaction():
                for stream in streams:
                    publish(connection, stream, "x")

    in_threads(*[lambda n=n: write(n) for n in range(workers)])
    db = connect()
    wanted = [(workers, rounds * 6)]
    assert db.execute("select last_id, count(*) from millstream.streams group by 1").fetchall() == (
        wanted
    )


def test_one_stream_made_by_two_at_once(connect):
    """The second waits for the first, and goes on whether that commits or not."""
    for outcome, expected in (("commit", [1, 2]), ("rollback", [1])):
        first, second, stream = connect(), connect(), f"made, then {outcome}"
        first.execute("begin")
        publish(first, stream, "first")
        first.execute("set constraints all immediate")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(publish, second, stream, "second")
            wait_until_blocked(first, second)
            first.execute(outcome)
            waiting.result(DEADLINE_S)
        assert [id for id, _ in contents(first, stream)] == expected


def wait_until_blocked(connection, blocked):
    deadline = threading.Event()
    timer = threading.Timer(DEADLINE_S, deadline.set)
    timer.start()
    try:
        while not deadline.is_set():
            query = "select cardinality(pg_blocking_pids(%s)) > 0"
            if connection.execute(query, (blocked.info.backend_pid,)).fetchone()[0]:
                return
    finally:
        timer.cancel()
    raise AssertionError("it did not come to wait")


def test_order_of_the_calls_is_the_order_of_ids(db):
    with db.transaction():
        for n in range(50):
            publish(db, f"s{n % 3}", str(n))
    for stream in range(3):
        expected = [str(n) for n in range(50) if n % 3 == stream]
        assert [data for _, data in contents(db, f"s{stream}")] == expected


def test_two_thousand_in_one_transaction(db, listener):
    with db.transaction():
        db.execute("select millstream.publish('a', n::text) from generate_series(1, 2000) n")
        events = db.execute("select count(*) from millstream.outbox where is_first").fetchone()
        assert events == (1,)
    assert contents(db, "a") == [(n, str(n)) for n in range(1, 2001)]
    epoch = position(db, "a")[0]
    assert [json.loads(payload) for payload in notes(listener, db)] == [
        {"s": "a", "e": epoch, "i": 2000}
    ]


def test_two_thousand_streams_in_one_transaction(db, listener):
    with db.transaction():
        db.execute("select millstream.publish('s' || n, 'x') from generate_series(1, 2000) n")
    assert len(notes(listener, db)) == 2000
    assert len(read(db, [f"s{n}" for n in range(1, 2001)])) == 2000


def test_64_messages_are_sent_and_65_are_not(db, listener):
    for count in (64, 65):
        with db.transaction():
            db.execute(f"select millstream.publish('{count}', 'x') from generate_series(1, {count})")
            publish(db, "other", "one")
    received = [json.loads(payload) for payload in notes(listener, db)]
    assert [note["i"] for note in received if note["s"] == "64"] == list(range(1, 65))
    assert [(note["i"], "d" in note) for note in received if note["s"] == "65"] == [(65, False)]
    assert [note["d"] for note in received if note["s"] == "other"] == ["one", "one"]


# Transactions


@pytest.mark.parametrize(
    "steps, expected",
    [
        ("a1 save a2 back a3", ["a1", "a3"]),
        ("save a1 back a2", ["a2"]),
        ("save a1 back", []),
        ("save a1 release a2", ["a1", "a2"]),
        ("a1 save a2 back", ["a1"]),
        ("a1 save a2 a3 release save a4 back", ["a1", "a2", "a3"]),
        ("save a1 save a2 back a3 release a4", ["a1", "a3", "a4"]),
        ("save a1 save a2 release back a3", ["a3"]),
        # Ids given before the end, and given back.
        ("a1 now a2 a3", ["a1", "a2", "a3"]),
        ("now a1 a2", ["a1", "a2"]),
        ("a1 save now back a2", ["a1", "a2"]),
        ("a1 a2 save now back a3", ["a1", "a2", "a3"]),
        ("a1 save a2 now a3 back a4", ["a1", "a4"]),
        ("a1 save a2 now a3 release a4", ["a1", "a2", "a3", "a4"]),
        ("a1 now later a2 a3", ["a1", "a2", "a3"]),
        # Poolers and applications forget settings.
        ("a1 reset a2", ["a1", "a2"]),
        ("a1 a2 reset a3", ["a1", "a2", "a3"]),
        ("a1 a2 reset", ["a1", "a2"]),
        ("a1 a2 reset a3 a4 reset a5", ["a1", "a2", "a3", "a4", "a5"]),
        ("a1 save reset a2 back a3", ["a1", "a3"]),
    ],
)
def test_savepoints_and_constraints(db, listener, steps, expected):
    words = {
        "back": "rollback to point",
        "later": "set constraints all deferred",
        "now": "set constraints all immediate",
        "release": "release point",
        "reset": "reset all",
        "save": "savepoint point",
    }
    db.execute("begin")
    for step in steps.split():
        if step in words:
            db.execute(words[step])
        else:
            publish(db, "a", step)
    db.execute("commit")
    assert contents(db, "a") == list(enumerate(expected, 1))
    assert [json.loads(payload)["d"] for payload in notes(listener, db)] == expected
    assert db.execute("select count(*) from millstream.outbox").fetchone() == (0,)
    publish(db, "a", "after")
    assert contents(db, "a")[-1] == (len(expected) + 1, "after")


def test_publishing_from_deferred_triggers(db):
    """One that fires after ours, and one that fires after that again."""
    db.execute(
        """
        create table posts (title text);
        create table likes (title text);
        create function announce() returns trigger language plpgsql as $$
        begin
          perform millstream.publish('a', tg_table_name || ' 1');
          perform millstream.publish('a', tg_table_name || ' 2');
          if tg_table_name = 'posts' then insert into likes values (new.title); end if;
          return null;
        end $$;
        create constraint trigger announce after insert on posts deferrable initially deferred
          for each row execute function announce();
        create constraint trigger announce after insert on likes deferrable initially deferred
          for each row execute function announce();
        """
    )
    with db.transaction():
        publish(db, "a", "first")
        db.execute("insert into posts values ('x')")
    assert [data for _, data in contents(db, "a")] == [
        "first", "posts 1", "posts 2", "likes 1", "likes 2",
    ]


def test_publishing_from_a_function_with_settings_and_a_procedure_that_commits(db):
    db.execute(
        """
        create function caught() returns void language plpgsql set search_path = public as $$
        begin
          perform millstream.publish('a', 'kept');
          begin
            perform millstream.publish('a', 'lost');
            raise division_by_zero;
          exception when division_by_zero then
            perform millstream.publish('a', 'caught');
          end;
        end $$;
        create procedure steps() language plpgsql as $$
        begin
          for n in 1..3 loop
            perform millstream.publish('a', 'step ' || n);
            if n = 2 then rollback; else commit; end if;
          end loop;
        end $$;
        """
    )
    with db.transaction():
        db.execute("select caught()")
        publish(db, "a", "outside")
    db.execute("call steps()")
    assert [data for _, data in contents(db, "a")] == [
        "kept", "caught", "outside", "step 1", "step 3",
    ]


def test_repeatable_read_fails_only_when_somebody_came_between(connect):
    one, two = connect(), connect()
    publish(one, "a", "zero")
    one.execute("begin isolation level repeatable read")
    one.execute("select 1")
    publish(two, "b", "elsewhere")
    publish(one, "a", "one")
    one.execute("commit")
    one.execute("begin isolation level repeatable read")
    one.execute("select 1")
    publish(two, "a", "two")
    publish(one, "a", "three")
    with pytest.raises(errors.SerializationFailure):
        one.execute("commit")
    assert [data for _, data in contents(one, "a")] == ["zero", "one", "two"]


def test_a_snapshot_from_before_a_rotation_writes_to_the_segment_of_now(connect):
    one, two = connect(), connect()
    one.execute("begin isolation level repeatable read")
    one.execute("select count(*) from millstream.settings")
    rotate(two)
    publish(one, "a", "one")
    publish(one, "b", "one")
    one.execute("commit")
    assert two.execute("select distinct segment from millstream.messages").fetchall() == [(1,)]


def test_read_only_transactions_and_two_phase_commit_are_refused(db):
    with pytest.raises(errors.ReadOnlySqlTransaction), db.transaction():
        db.execute("set transaction read only")
        publish(db, "a", "x")
    if db.execute("show max_prepared_transactions").fetchone()[0] != "0":
        db.execute("begin")
        publish(db, "a", "x")
        with pytest.raises(errors.FeatureNotSupported, match="NOTIFY"):
            db.execute("prepare transaction 'x'")
    assert contents(db, "a") == []


# Payloads


def test_members_of_the_payload(db, listener):
    publish(db, "a", "d\n\"é\\", "e", "v", "x")
    publish(db, "a", "", "")
    epoch, _, _ = position(db, "a")
    ephemeral(db, "a", "d", "e", "v", "x")
    ephemeral(db, "a", "d")
    assert 0 < epoch < 2**31
    assert [json.loads(payload) for payload in notes(listener, db)] == [
        {"s": "a", "e": epoch, "i": 1, "d": "d\n\"é\\", "t": "e", "v": "v", "x": "x"},
        {"s": "a", "e": epoch, "i": 2, "d": "", "t": ""},
        {"s": "a", "d": "d", "t": "e", "v": "v", "x": "x"},
        {"s": "a", "d": "d"},
    ]
    assert read(db, ["a"])[0][1:6] == (1, "d\n\"é\\", "e", "v", "x")


def filled(members, unit, bytes_wanted):
    """Data of the unit that makes the payload as long as wanted."""
    def size(data):
        return len(json.dumps(members | {"d": data}, ensure_ascii=False, separators=",:").encode())

    room = bytes_wanted - size("")
    each = size(unit) - size("")
    data = unit * (room // each) + "x" * (room % each)
    assert size(data) == bytes_wanted
    return data


@pytest.mark.parametrize("unit", ["x", "é", "\U0001f600", '"', "\x01"])
def test_payload_at_the_edge(db, listener, unit):
    publish(db, "a", "first")
    epoch, _, _ = position(db, "a")
    notes(listener, db)
    for id, bytes_wanted in enumerate((7998, 7999, 8000, 8001), 2):
        data = filled({"s": "a", "e": epoch, "i": id, "t": "e"}, unit, bytes_wanted)
        publish(db, "a", data, "e")
        [payload] = notes(listener, db)
        if bytes_wanted <= NOTIFICATION_BYTES_MAX:
            assert len(payload.encode()) == bytes_wanted
            assert json.loads(payload)["d"] == data
        else:
            assert json.loads(payload) == {"s": "a", "e": epoch, "i": id}
        with db.transaction():  # And the same by the way for several messages.
            publish(db, f"b{id}", data, "e")
            publish(db, f"b{id}", "x" * 9000, "e")
        assert all(len(payload.encode()) <= NOTIFICATION_BYTES_MAX for payload in notes(listener, db))
        assert contents(db, f"b{id}") == [(1, data), (2, "x" * 9000)]


@pytest.mark.parametrize("unit", ["x", "é", '"'])
def test_ephemeral_payload_at_the_edge(db, listener, unit):
    fits = filled({"s": "a"}, unit, NOTIFICATION_BYTES_MAX)
    ephemeral(db, "a", fits)
    assert [json.loads(payload) for payload in notes(listener, db)] == [{"s": "a", "d": fits}]
    for data in (fits + "x", "x" * 20_000_000):
        with pytest.raises(psycopg.DataError, match="does not fit a notification") as raised:
            ephemeral(db, "a", data)
        assert raised.value.sqlstate == "22023"
        assert "7999 bytes" in raised.value.diag.message_detail
    assert position(db, "a") is None


def test_the_longest_name_leaves_room_for_the_short_payload(db, listener):
    stream = '"' * 512
    publish(db, stream, "x" * 8000)
    assert json.loads(notes(listener, db)[0])["s"] == stream


def test_large_data_is_read_as_it_was_published(db):
    data = "".join(random.Random(1).choices("abcdefgh<>é\"\n", k=300_000))
    with db.transaction():
        publish(db, "a", data)
        publish(db, "a", "x" * 300_000)
    publish(db, "a", data)
    assert [text for _, text in contents(db, "a")] == [data, "x" * 300_000, data]


@pytest.mark.parametrize("call", [publish, ephemeral])
@pytest.mark.parametrize(
    "arguments, sqlstate, text",
    [
        ((None, "x"), "22004", "the stream is null"),
        (("", "x"), "22023", "the stream is the empty string"),
        (("s" * 513, "x"), "22023", "has 513 bytes, and at most 512"),
        (("é" * 257, "x"), "22023", "has 514 bytes, and at most 512"),
        (("a\nb", "x"), "22023", r'"a\\nb" holds a control character'),
        (("a\x7f", "x"), "22023", "holds a control character"),
        (("\x01", "x"), "22023", "holds a control character"),
        (("a", None), "22004", "the data is null"),
        (("a", "x", "e\r"), "22023", r'the event "e\\r" holds a line break'),
        (("a", "x", "e\nf"), "22023", "holds a line break"),
    ],
)
def test_errors_say_what_is_wrong(db, call, arguments, sqlstate, text):
    with pytest.raises(psycopg.DataError, match=text) as raised:
        call(db, *arguments)
    assert raised.value.sqlstate == sqlstate


def test_what_is_just_allowed(db):
    for stream in ("s" * 512, "é" * 256, " ", "\U0001f600", "'"):
        publish(db, stream, "")
        assert contents(db, stream) == [(1, "")]


# Reading


def test_reads_many_streams_at_once(db):
    for stream in ("a", "b", "c"):
        for n in range(1, 6):
            publish(db, stream, f"{stream}{n}")
    rows = read(db, ["c", "none", "a", "a", "b"], [3, 0, 0, 4, 5], 3)
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (1, 4, "c4"), (1, 5, "c5"), (3, 1, "a1"), (3, 2, "a2"), (3, 3, "a3"), (4, 5, "a5"),
    ]
    epochs = {row[0]: row[6] for row in rows}
    assert epochs[3] == epochs[4] == position(db, "a")[0]
    rows = raw(db, READ_POSITIONS, (["b", "none", "a"],))
    assert [(row[0], row[2], row[3]) for row in rows] == [(1, 5, 1), (3, 5, 1)]


@pytest.mark.parametrize("sql, parameters", [(READ_MESSAGES, 3), (READ_POSITIONS, 1)])
def test_reading_scans_no_table(db, sql, parameters):
    """Not even when it was prepared while the tables were known to be empty."""
    db.execute("analyze")
    with db.transaction():
        db.execute(f"select {READER_SETTINGS}")
        db.execute("set plan_cache_mode = force_generic_plan")
        db.execute(f"prepare reading as {sql}")
        values = ["'{a}'", "'{0}'", "10"][:parameters]
        plan = db.execute(f"explain execute reading({', '.join(values)})").fetchall()
    text = "\n".join(line for line, in plan)
    assert text.count("Index") >= 9 and "Seq Scan" not in text and "Bitmap" not in text, text


def test_publishing_scans_no_table(db):
    """Not even when its statements were planned while the tables were known to be tiny."""
    publish(db, "a", "x")
    db.execute("analyze")
    for streams in (["a"], ["a", "b"], ["c"]):
        with db.transaction():
            for stream in streams:
                publish(db, stream, "x")
            db.execute("set constraints all immediate")
            scanned = db.execute(
                "select relname from pg_stat_xact_user_tables"
                " where schemaname = 'millstream' and seq_scan > 0"
            ).fetchall()
            assert scanned == []


# Retention


def test_rotation_drops_the_oldest_and_says_so(db):
    publish(db, "old", "x")
    for n in range(1, 13):
        publish(db, "a", str(n))
        rows = contents(db, "a")
        epoch, last_id, first_available_id = position(db, "a")
        assert [id for id, _ in rows] == list(range(first_available_id, n + 1))
        assert (last_id, first_available_id) == (n, max(1, n - 6))
        rotate(db)
    assert position(db, "old")[1:] == (1, 2)
    drop_all_messages(db)
    assert position(db, "a") == (epoch, 12, 13)
    publish(db, "a", "13")
    assert position(db, "a") == (epoch, 13, 13)
    assert contents(db, "a") == [(13, "13")]


def test_nothing_younger_than_retain_for_is_dropped(db):
    """Seven hold messages at any time: six that are full, and the one that is written to."""
    publish(db, "a", "x")
    db.execute("update millstream.segments set opened_at = clock_timestamp() - interval '3 hours'"
               " where segment = 0")
    assert maintain(db) == (False, False, 0)
    for _ in range(6):
        assert position(db, "a")[2] == 1
        db.execute("update millstream.segments set opened_at = opened_at - interval '4 hours'")
        maintain(db)
    db.execute("update millstream.segments set opened_at = opened_at - interval '4 hours'")
    maintain(db)
    assert position(db, "a")[2] == 2


def test_rotates_by_number(db):
    db.execute("update millstream.settings set retain_messages = 70")
    db.execute("select millstream.publish('a', 'x') from generate_series(1, 10)")
    db.execute("analyze millstream.messages_0")
    assert maintain(db)[0] is False
    publish(db, "a", "x")
    db.execute("analyze millstream.messages_0")
    assert maintain(db)[0] is True
    assert maintain(db)[0] is False


def test_one_at_a_time(connect):
    one, two = connect(), connect()
    age_segments(one)
    with one.transaction():
        assert maintain(one)[0] is True
        assert maintain(two) == (False, False, 0)
    assert maintain(two) == (False, False, 0)


def test_a_rotation_that_is_rolled_back_does_no_harm(connect):
    db, other = connect(), connect()
    publish(db, "a", "one")
    age_segments(db)
    with db.transaction() as transaction:
        assert maintain(db)[0] is True
        publish(other, "a", "two")
        raise psycopg.Rollback(transaction)
    assert maintain(db) == (False, False, 0)
    publish(db, "a", "three")
    for n in range(4, 20):
        rotate(db)
        publish(db, "a", str(n))
        _, last_id, first_available_id = position(db, "a")
        ids = [id for id, _ in contents(db, "a")]
        assert ids == list(range(first_available_id, last_id + 1))


def test_a_long_reader_delays_the_emptying_and_nobody_else(connect):
    db, reader, publisher = connect(), connect(), connect()
    publish(db, "a", "one")
    for _ in range(6):
        rotate(db)
    reader.execute("begin")
    assert len(contents(reader, "a")) == 1
    age_segments(db)
    assert maintain(db) == (True, False, 0)
    publish(publisher, "a", "two")
    age_segments(db)
    assert maintain(db) == (False, False, 0)
    assert [id for id, _ in contents(reader, "a")] == [1, 2]
    reader.execute("commit")
    assert maintain(db) == (False, True, 0)
    assert position(db, "a")[1:] == (2, 2)


def test_maintains_beside_publishers(connect):
    """What can be read of a stream has no hole and ends with its last id, at any moment."""
    done = threading.Event()

    def write(writer):
        connection = connect()
        for turn in range(150):
            with connection.transaction():
                publish(connection, f"s{turn % 3}", "x")
                publish(connection, f"s{(turn + writer) % 3}", "x")

    def keep(number):
        connection, rotations = connect(), 0
        while not done.is_set():
            if number == 0:
                age_segments(connection)
            rotations += maintain(connection)[0]
        return rotations

    def watch():
        connection = connect()
        while not done.is_set():
            rows = connection.execute(
                "select count(*), min(id), max(id) from millstream.messages group by stream_id"
            ).fetchall()
            assert all(count == most - least + 1 for count, least, most in rows), rows

    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(keep, 0), pool.submit(keep, 1), pool.submit(watch)]
        try:
            in_threads(*[lambda n=n: write(n) for n in range(4)])
        finally:
            done.set()
        rotations = others[0].result() + others[1].result()
        others[2].result()
    assert rotations > 8
    db = connect()
    assert sum(position(db, f"s{n}")[1] for n in range(3)) == 4 * 150 * 2
    for n in range(3):
        _, last_id, first_available_id = position(db, f"s{n}")
        ids = [id for id, _ in contents(db, f"s{n}")]
        assert ids == list(range(first_available_id, last_id + 1))


def make_idle(connection):
    connection.execute("update millstream.streams set published_at = now() - interval '2 days'")


def test_removes_streams_that_are_idle_and_empty(db):
    for stream in ("a", "b"):
        publish(db, stream, "x")
    before = position(db, "a")
    make_idle(db)
    assert maintain(db)[2] == 0, "they have messages"
    db.execute("update millstream.streams set published_at = now()")
    drop_all_messages(db)
    make_idle(db)
    publish(db, "b", "y")
    begin_sweep(db)
    assert maintain(db)[2] == 1
    assert position(db, "a") is None
    assert position(db, "b")[1:] == (2, 2)
    publish(db, "a", "again")
    after = position(db, "a")
    assert after[1:] == (1, 1) and after[0] != before[0]


def test_removes_streams_some_at_a_time(db):
    db.execute("insert into millstream.streams (name, last_id, published_at)"
               " select 's' || n, 1, now() - interval '2 days' from generate_series(1, 12000) n")
    removed = [maintain(db)[2] for _ in range(4)]
    assert removed == [5000, 5000, 2000, 0]


def test_removing_a_stream_and_publishing_to_it(connect):
    db, publisher = connect(), connect()
    publish(db, "a", "x")
    drop_all_messages(db)
    make_idle(db)
    begin_sweep(db)
    # The publisher is first: its stream is skipped.
    publisher.execute("begin")
    publish(publisher, "a", "y")
    publisher.execute("set constraints all immediate")
    assert maintain(db)[2] == 0
    publisher.execute("commit")
    assert position(db, "a")[1:] == (2, 2)

    drop_all_messages(db)
    make_idle(db)
    begin_sweep(db)
    before = position(db, "a")
    # It is second: it makes the stream anew.
    with ThreadPoolExecutor(1) as pool:
        with db.transaction():
            assert maintain(db)[2] == 1
            waiting = pool.submit(publish, publisher, "a", "z")
            wait_until_blocked(db, publisher)
        waiting.result(DEADLINE_S)
    after = position(db, "a")
    assert after[1:] == (1, 1) and after[0] != before[0]


def begin_sweep(connection):
    connection.execute("update millstream.sweep set name = ''")
