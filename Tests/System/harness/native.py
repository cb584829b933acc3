"""The native store as any application fills it: plain SQL."""

import psycopg


class Publisher:
    """A session, in autocommit, that publishes to `stream` of the native store."""

    def __init__(self, database, stream):
        self.stream = stream
        self.session = psycopg.connect(database, autocommit=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends its session."""
        self.session.close()

    def send(self, data, **options):
        """One broadcast; options are `event`, `visible_to` and `exclude`."""
        self._call("millstream.publish", data, options)

    def notify(self, data, **options):
        """One broadcast that is not stored."""
        self._call("millstream.publish_ephemeral", data, options)

    def send_many(self, datas):
        """All in one transaction, by one statement."""
        self.session.execute(
            "SELECT millstream.publish(%s, data) FROM unnest(%s::text[]) AS data",
            [self.stream, list(datas)],
        )

    def _call(self, function, data, options):
        named = "".join(f", {name} => %s" for name in options)
        self.session.execute(
            f"SELECT {function}(%s, %s{named})", [self.stream, data, *options.values()]
        )
