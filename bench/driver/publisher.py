"""Publishing: a session of Postgres that stays open, or the ceiling's stdin."""

import subprocess
import time

# Taken in the statement itself, so that nothing but the commit lies between it and the delivery.
STAMP_SQL = "'t=' || (extract(epoch from clock_timestamp()) * 1000000000)::bigint"


class DatabasePublisher:
    """A psql that is fed one statement after the other. `stamped` messages begin with the time."""

    def __init__(self, conninfo, store="native", queue_prefix="pgbus"):
        self.store, self.queue_prefix = store, queue_prefix
        self.psql = subprocess.Popen(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", conninfo],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )

    def publish(self, stream, count=1, size=64):
        """So many messages of about `size` bytes in one transaction; returns when committed."""
        padding = "x" * max(0, size - 22)
        data = f"{STAMP_SQL} || ' {padding}'"
        self._execute(f"select {self._call(stream, data)} from generate_series(1, {count})", count)

    def _call(self, stream, data):
        if self.store == "native":
            return f"millstream.publish('{stream}', {data})"
        return f"pgmq.send('{self.queue(stream)}', jsonb_build_object('html', {data}))"

    def prepare(self, stream):
        """Makes what the store needs before the first message."""
        if self.store == "pgmq":
            self._execute(f"select 1 from pgmq.create('{self.queue(stream)}')", 1)
            self._execute(f"select 1 from pgmq.enable_notify_insert('{self.queue(stream)}', 0)", 1)

    def queue(self, stream):
        """The name of the PGMQ queue of a stream."""
        return f"{self.queue_prefix}_{stream.replace(':', '_')}"

    def _execute(self, sql, rows):
        """psql prints a row for each row of the result, and that after the commit."""
        self.psql.stdin.write(sql + ";\n")
        self.psql.stdin.flush()
        for _ in range(rows):
            if not self.psql.stdout.readline():
                raise RuntimeError(f"psql ended in: {sql}")

    def close(self):
        """Ends the session."""
        self.psql.stdin.close()
        self.psql.wait()


class PipePublisher:
    """The ceiling takes a payload a line. It has one stream."""

    def __init__(self, pipe):
        self.pipe = pipe

    def publish(self, _stream, count=1, size=64):
        """So many messages, in one write."""
        line = f"t={time.time_ns()} ".ljust(size, "x") + "\n"
        self.pipe.write(line * count)
        self.pipe.flush()

    def prepare(self, _stream):
        """Nothing to do."""

    def close(self):
        """The pipe is the process's own."""
