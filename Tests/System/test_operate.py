"""The article for operators: its file is taken, and it names all alerts, metrics, options, lines and reasons as
they are."""

import re

from harness.admin import ROOT, Admin
from harness.article import blocks, text_of
from harness.options import commands
from harness.ports import free_port
from harness.server import run

ARTICLE = "Operate"
RULES = ROOT / "packaging/prometheus/millstream.rules.yml"


def rows(heading):
    """The first column of the tables below a heading, and the second."""
    section = text_of(ARTICLE).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"(?m)^\| (`[^|]+) \| (.+) \|$", section))


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


def test_its_file_starts_a_server(serve, native_database, tmp_path):
    (text,) = blocks(ARTICLE, "toml")
    for name in ("secrets", "admin-token"):
        (tmp_path / name).write_text("0123456789abcdef0123456789abcdef\n")
        (tmp_path / name).chmod(0o640)
    path = tmp_path / "millstream.toml"
    text = text.replace("host=/run/postgresql dbname=app", native_database)
    path.write_text(text.replace("/etc/millstream", str(tmp_path)).replace("8080", str(free_port())))
    checked = run("doctor", "--config", str(path), "--admin", "127.0.0.1:0")
    said = checked.stdout.decode()
    assert checked.returncode == 0, said
    # What the article shows is said, with figures and versions of another machine.
    subjects = set(re.findall(r"(?m)^(?:ok|warn) +([^:]+):", text_of(ARTICLE)))
    assert len(subjects) > 8 and subjects <= set(re.findall(r"(?m)^(?:ok|warn) +([^:]+):", said))
    server = serve(None, "--config", str(path), listen=None, admin="127.0.0.1:0")
    with server.get("/streams/demo:a") as client:
        assert client.head.status == 200
    assert Admin(server).causes() == []


def test_it_names_the_metrics_that_there_are(serve, native_database):
    metrics = Admin(serve(native_database, admin="127.0.0.1:0")).text()
    named = set(re.findall(r"`(millstream_[a-z_]+)`", text_of(ARTICLE)))
    families = set(re.findall(r"(?m)^# TYPE (\S+) ", metrics))
    assert len(named) >= 5 and named <= families
    reasons = {reason for row in rows("What the log says") for reason in quoted(row) if " " not in reason}
    labels = {re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), reason) for reason in reasons}
    closed = re.findall(r'(?m)^millstream_connections_closed_total{.*reason="(\w+)"', metrics)
    assert set(closed) == labels - {"ready", "reloaded", "draining", "stopped"}


def test_every_alert_has_its_remedy():
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert [quoted(row)[0] for row in rows("What alerts mean")] == alerts


def test_lines_of_the_log_are_as_they_are_written():
    sources = "\n".join(path.read_text() for path in (ROOT / "Sources").rglob("*.swift"))
    lines = [quoted(row)[0] for row in rows("What the log says") if " " in quoted(row)[0]]
    assert len(lines) >= 9
    assert [line for line in lines if f'"{line}' not in sources] == []


def test_every_line_that_a_server_writes_is_named():
    """But those for a program that embeds it."""
    written = set()
    for path in (ROOT / "Sources").rglob("*.swift"):
        written |= set(re.findall(
            r'logger\.(?:info|notice|warning|error)\(\s*"([^"\\]+)"', path.read_text()))
    named = [line for row in rows("What the log says").items() for line in quoted("".join(row))]
    lacking = {line for line in written if not any(line.startswith(name) for name in named)}
    assert len(written) >= 25 and lacking == {"a message was not published"}


def test_its_options_are_there():
    known = {name for options in commands().values() for name in options}
    named = set(re.findall(r"--([a-z]+(?:-[a-z]+)*)", "".join(quoted(text_of(ARTICLE)))))
    assert named - known <= {"now"}
