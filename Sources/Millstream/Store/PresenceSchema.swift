/// Who is on which native stream: a part of Millstream's own schema, with the columns of pgbus's table.
enum PresenceSchema {
  /// Makes what is missing. Whoever serves with presence needs SELECT, INSERT, UPDATE and DELETE on the table.
  static let sql = #"""
    -- Who is on which stream. A row that is not touched any more goes. Those who have the members write it
    -- again after a crash: unlogged, which writes nothing to the WAL. No index covers what is touched, and
    -- pages are left half empty, so that an update stays on its page (HOT).
    do $do$
    begin
      if to_regclass('millstream.presence_members') is null then
        create unlogged table millstream.presence_members (
          stream_name text collate "C" not null,
          member_id text collate "C" not null,
          metadata jsonb not null default '{}',
          joined_at timestamptz not null,
          last_seen_at timestamptz not null,
          primary key (stream_name, member_id)
        ) with (
          fillfactor = 50, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0
        );
      end if;
    end
    $do$;
    """#
}
