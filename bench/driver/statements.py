"""How many statements of which kind the server has sent, from pg_stat_statements."""

import json

from .postgres import run_sql

SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.max": "10000"}
# Told apart by what only they have; the first that fits counts. Settings go along with each question,
# as a statement of their own.
KINDS = {
    "listen": "query ~* '^(un)?listen'",
    "settings": "query like '%set_config%'",
    "holders": "query like '%pg_locks%'",
    "looks": "query like '%last_id%' or query like '%to_regclass%'",
    "reads": "query like '%visible_to%' or query like '%msg_id%'",
    "others": "true",
}


class Statements:
    """Counts what a role of its own, that of the server, has sent from `begin` on."""

    role = "millstream_server"

    def __init__(self, conninfo):
        self._conninfo = conninfo
        run_sql(conninfo, sql="create extension if not exists pg_stat_statements")
        run_sql(conninfo, sql=f"create role {self.role} superuser login")

    def begin(self):
        """Nothing has been sent yet."""
        run_sql(self._conninfo, sql="select pg_stat_statements_reset()")

    def count(self):
        """Calls by kind, and `questions`: those that ask for something, their settings aside."""
        kinds = " ".join(f"when {test} then '{kind}'" for kind, test in KINDS.items())
        text = run_sql(
            self._conninfo,
            sql=f"select json_object_agg(kind, calls) from (select case {kinds} end as kind,"
            " sum(calls)::bigint as calls from pg_stat_statements"
            f" where userid = '{self.role}'::regrole group by 1) as counted",
        )
        counts = dict.fromkeys(KINDS, 0) | (json.loads(text) if text.strip() else {})
        return counts | {"questions": sum(counts.values()) - counts["settings"] - counts["listen"]}
