"""Proves that many clients are served as one is: every one gets everything, in order, and who
comes back with a cursor goes on where it was, with nothing missing and nothing twice."""

import random

from harness.crowd import Crowd
from harness.pgmq import Queue
from harness.server import native_path
from harness.waiting import wait_until

FAN_OUT_SECONDS = 120


def datas(blocks):
    return [block.data for block in blocks]


def test_a_thousand_clients_on_one_stream(server, queue):
    with Crowd(server.open("chat") for _ in range(1000)) as crowd:
        crowd.connected()
        sent = [str(number) for number in range(50)]
        for data in sent:
            queue.send(data)
        for got in crowd.broadcasts(50, limit=FAN_OUT_SECONDS):
            assert datas(got) == sent


def test_a_hundred_streams(server, pgmq_database):
    with Crowd(server.open(f"room:{n % 100}") for n in range(500)) as crowd:
        crowd.connected()
        with Queue(pgmq_database, "room:0") as sender:
            for n in range(100):
                sender.name = f"pgbus_room_{n}"
                sender.create()
                sender.send_many([f"{n} one", f"{n} two"])
                sender.send(f"{n} three")
        for number, got in enumerate(crowd.broadcasts(3, limit=FAN_OUT_SECONDS)):
            room = number % 100
            assert datas(got) == [f"{room} one", f"{room} two", f"{room} three"]


def test_a_hundred_native_streams(native_server, publisher):
    clients = [
        native_server.open(f"room:{n % 100}", path=native_path(f"room:{n % 100}"))
        for n in range(500)
    ]
    with Crowd(clients) as crowd:
        crowd.connected()
        for n in range(300):
            publisher.stream = f"room:{n % 100}"
            publisher.send(str(n // 100))
        for got in crowd.broadcasts(3, limit=FAN_OUT_SECONDS):
            assert datas(got) == ["0", "1", "2"]
            assert [block.number for block in got] == [1, 2, 3]


def test_resuming_is_exactly_once(server, queue):
    """Each of fifty clients leaves and comes back at moments of its own, until it has it all."""
    chance = random.Random(7)
    sent = [str(number) for number in range(300)]
    for data in sent[:100]:
        queue.send(data)
    seen = {number: [] for number in range(50)}
    cursors = dict.fromkeys(seen, 0)
    for round in range(4):
        with Crowd(server.open("chat", last_event_id=cursors[n]) for n in seen) as crowd:
            for data in sent[100 + 50 * round : 150 + 50 * round]:
                queue.send(data)
            _leave_somewhere(crowd, seen, cursors, chance)
    _read_the_rest(server, seen, cursors, len(sent))
    for number, got in seen.items():
        assert got == sent, f"client {number}: {len(got)} messages, {len(set(got))} of them once"


def _leave_somewhere(crowd, seen, cursors, chance):
    """Every client takes up to ten of what comes next, and forgets the rest as it goes."""
    wanted = chance.randint(1, 10)
    crowd.wait(
        lambda client: sum(b.is_broadcast for b in client.stream.blocks) >= wanted,
        f"{wanted} messages",
    )
    for number, client in enumerate(crowd.clients):
        taken = crowd.take(client)[: chance.randint(1, wanted)]
        seen[number] += datas(taken)
        cursors[number] = taken[-1].id


def _read_the_rest(server, seen, cursors, count):
    with Crowd(server.open("chat", last_event_id=cursors[n]) for n in seen) as crowd:
        for number, client in enumerate(crowd.clients):
            missing = count - len(seen[number])
            crowd.wait(
                lambda other: other is not client
                or sum(b.is_broadcast for b in other.stream.blocks) >= missing,
                f"the last {missing} messages of client {number}",
            )
            seen[number] += datas(crowd.take(client))


def test_clients_that_come_and_go_do_not_disturb_who_stays(server, queue):
    with Crowd(server.open("chat") for _ in range(20)) as staying:
        staying.connected()
        sent = [str(number) for number in range(100)]
        for data in sent:
            passing = server.subscribe("chat")
            queue.send(data)
            passing.reset()
        for got in staying.broadcasts(len(sent)):
            assert datas(got) == sent


def test_a_name_says_nothing_to_the_terminal_of_who_reads_the_log(serve, native_database):
    """U+009B begins what ESC [ does, and U+0085 ends a line for some."""
    server = serve(native_database, "--public", "*")
    for name in ["a%C2%9B31mb", "a%C2%85b", "a%E2%80%A8b"]:
        with server.get("/streams/" + name) as client:
            client.connection_id()
    wait_until(lambda: server.log_text().count("connection ended") == 3, "three lines")
    for text in [r'"a\u009b31mb"', r'"a\u0085b"', r'"a\u2028b"']:
        assert f" stream={text}" in server.log_text()
