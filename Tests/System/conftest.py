"""What the tests are given: Postgres, databases of each kind, and servers that are stopped."""

import resource
import uuid

import pytest

from demo_fixtures import demo_server, demo_url  # noqa: F401  (fixtures)
from harness.browser import Browser, BrowserMissing
from harness.native import Publisher
from harness.pgmq import Queue, pgmq_sql
from harness.postgres import Postgres, execute
from harness.server import Server, run


def pytest_configure():
    """A thousand clients need a thousand descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# Postgres and its databases


@pytest.fixture(scope="session")
def cluster():
    """The private cluster of this run; a test that may have stopped it takes `postgres`."""
    cluster = Postgres()
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def postgres(cluster):
    """The cluster, running, even if the test before left it stopped."""
    if cluster.process is None:
        cluster.start()
    return cluster


@pytest.fixture(scope="session")
def native_sql():
    """The native store's schema as `millstream install --print-sql` prints it."""
    printed = run("install", "--print-sql")
    assert printed.returncode == 0, printed.stderr.decode()
    return printed.stdout.decode()


@pytest.fixture(scope="session")
def pgmq_template(cluster):
    """A database with PGMQ in it, to be copied."""
    cluster.make_template("with_pgmq", lambda conninfo: execute(conninfo, pgmq_sql()))
    return "with_pgmq"


@pytest.fixture(scope="session")
def native_template(cluster):
    """A database into which `millstream install` has installed, to be copied."""
    cluster.make_template("with_native", _install)
    return "with_native"


@pytest.fixture(scope="session")
def full_template(cluster):
    """A database with both stores in it, to be copied."""

    def fill(conninfo):
        execute(conninfo, pgmq_sql())
        _install(conninfo)

    cluster.make_template("with_both", fill)
    return "with_both"


def _install(conninfo):
    done = run("install", "--database", conninfo)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def make_database(postgres):
    """Makes fresh databases, and drops them after the test."""
    names = []

    def make(template="template0"):
        names.append(postgres.fresh_database(template))
        return postgres.conninfo(names[-1])

    yield make
    if postgres.process is None:
        postgres.start()
    for name in names:
        postgres.drop_database(name)


@pytest.fixture
def database(make_database):
    """The connection string of a fresh database with nothing in it."""
    return make_database()


@pytest.fixture
def pgmq_database(make_database, pgmq_template):
    """The connection string of a fresh database with PGMQ in it, and no queue."""
    return make_database(pgmq_template)


@pytest.fixture
def native_database(make_database, native_template):
    """The connection string of a fresh database with the native store in it."""
    return make_database(native_template)


@pytest.fixture
def full_database(make_database, full_template):
    """The connection string of a fresh database with both stores in it."""
    return make_database(full_template)


@pytest.fixture
def latin_database(postgres):
    """The connection string of a fresh database with the native store in it, whose encoding is not UTF-8."""
    name = f"latin_{uuid.uuid4().hex}"
    postgres.execute(
        f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    installed = run("install", "--database", postgres.conninfo(name))
    assert installed.returncode == 0, installed.stderr
    return postgres.conninfo(name)


# Servers, and what publishes


@pytest.fixture
def serve(make_database):
    """Starts servers; those that still run after the test are stopped in order.

    It stands on `make_database`, so that the servers go before their databases do.
    """
    servers = []

    def start(database, *flags, **options):
        servers.append(Server(database, *flags, **options))
        return servers[-1]

    yield start
    running = [server for server in servers if server.is_running]
    for server in servers:
        server.assert_no_report()
    try:
        for server in running:
            server.stop()
    finally:
        for server in running:
            if server.is_running:
                server.kill()


@pytest.fixture
def queue(pgmq_database):
    """The queue of the stream `chat`, made as pgbus makes it."""
    with Queue(pgmq_database, "chat") as queue:
        yield queue.create()


@pytest.fixture
def server(serve, pgmq_database):
    """A server with default settings on the PGMQ database."""
    return serve(pgmq_database)


@pytest.fixture
def publisher(native_database):
    """Publishes to the stream `chat` of the native store."""
    with Publisher(native_database, "chat") as publisher:
        yield publisher


@pytest.fixture
def native_server(serve, native_database):
    """A server with default settings on the native store's database."""
    return serve(native_database)


# Chromium


@pytest.fixture(scope="module")
def browser():
    """A real one, headless, for the tests of one file."""
    try:
        chromium = Browser()
    except BrowserMissing as missing:
        pytest.fail(str(missing), pytrace=False)
    with chromium:
        yield chromium
