/// The part of Millstream's schema by which an application closes connections: a function that puts what is
/// wanted into a table, and a notification that says nothing but that there is something to read.
///
/// Everybody who can log in can notify, on any channel. So nothing is believed that was notified: only who may
/// execute the function gets a row into the table.
package enum ControlSchema {
  /// Where servers hear that there is something in the table.
  package static let channel = "millstream_control"

  /// Makes it, or leaves it alone. A row stays for ten minutes: a server that is cut off for longer may miss it.
  static let sql = #"""
    -- Closes connections: one by its id, all of a member, or all of a stream (store null: of both stores).
    -- Whoever is to call it needs USAGE on the schema and EXECUTE on it, and nothing else.
    create or replace function millstream.close(
      connection text default null, member text default null, stream text default null,
      store text default null, reason text default null
    ) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
    begin
      if num_nonnulls(connection, member, stream) <> 1 then
        raise exception 'millstream: name one connection, one member or one stream'
          using errcode = '22023';
      elsif connection !~ '^[0-9a-fA-F]{16}$' then
        raise exception 'millstream: the connection % is not 16 hexadecimal digits',
          to_json(left(connection, 64)) using errcode = '22023';
      elsif octet_length(coalesce(member, stream)) not between 1 and 512 then
        raise exception 'millstream: the name has % bytes, and 1 to 512 are allowed',
          octet_length(coalesce(member, stream)) using errcode = '22023';
      elsif store not in ('native', 'pgmq') or (store is not null and stream is null) then
        raise exception 'millstream: the store is native or pgmq, and goes with a stream'
          using errcode = '22023';
      elsif octet_length(reason) > 512 then
        raise exception 'millstream: the reason has % bytes, and at most 512 are allowed',
          octet_length(reason) using errcode = '22023';
      end if;
      -- Every server has read these, or was cut off for too long. Of two at once one removes them, and
      -- nobody waits for anybody.
      begin
        delete from millstream.controls d where (d.xid, d.id) in (
          select c.xid, c.id from millstream.controls c
           where c.created_at < clock_timestamp() - interval '10 minutes'
           limit 1000 for update skip locked);
      exception when serialization_failure then
        null;
      end;
      insert into millstream.controls (connection, member, stream, store, reason)
      values (close.connection, close.member, close.stream, close.store, close.reason);
      perform pg_notify('millstream_control', '');
    end
    $fn$;

    do $do$
    begin
      if to_regclass('millstream.controls') is null then
        create sequence millstream.control_ids;
        create table millstream.controls (
          -- By transaction: a reader that remembers which were open reads none twice and misses none,
          -- whatever the order in which they commit.
          xid xid8 not null default pg_current_xact_id(),
          id bigint not null default nextval('millstream.control_ids'),
          created_at timestamptz not null default clock_timestamp(),
          connection text, member text, stream text, store text, reason text,
          primary key (xid, id)
        );
        -- Not for everybody; once it was made, grants are the operator's.
        revoke all on function millstream.close(text, text, text, text, text) from public;
      end if;
    end
    $do$;
    """#

  /// Whether the table is there, and whether this role may read it. No row: it is not there.
  package static let lookSQL = """
    SELECT pg_catalog.has_schema_privilege(space.oid, 'USAGE')
           AND pg_catalog.has_table_privilege(class.oid, 'SELECT')
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
     WHERE space.nspname = 'millstream' AND class.relname = 'controls'
    """

  /// A page of what was asked for, in order of transaction and id: what stands behind that pair ($1, $2).
  /// Columns: the oldest transaction that is open; then, nulls if there is none: transaction, id, age in
  /// milliseconds, connection, member, stream, store, reason.
  static let readSQL = """
    SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()),
           control.xid, control.id,
           (extract(epoch FROM pg_catalog.clock_timestamp() - control.created_at) * 1000)::bigint,
           control.connection, control.member, control.stream, control.store, control.reason
      FROM (SELECT 1) AS always
      LEFT JOIN LATERAL (
        SELECT * FROM millstream.controls
         WHERE (xid, id) > ($1::text::xid8, $2::bigint)
         ORDER BY xid, id LIMIT \(ControlReading.pageRows)) AS control ON true
     ORDER BY control.xid, control.id
    """
}
