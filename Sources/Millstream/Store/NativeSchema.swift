/// Millstream's own store in Postgres, for those who do not use PGMQ: what `millstream install` makes,
/// and what the streamer reads with.
///
/// Ids are per stream, from 1, in commit order and without holes, because they are given out at the
/// commit, by a deferred trigger, with the stream's row locked from there to the end of the commit.
/// So a reader that gets ids 5 and 7 knows that 6 was dropped by retention, and not that it is late.
/// At the end of every transaction that published, Postgres notifies ``channel``.
package enum NativeSchema {
  /// The version of the schema that ``sql`` makes, as `millstream.schema_version` holds it.
  package static let version = 2

  /// The one channel for all streams. The payload is a JSON object: `s` stream, `e` epoch, `i` id,
  /// `d` data, `t` event, `v` visible_to, `x` exclude; null members are left out. With `i` and without
  /// `d`: the message is to be read, because it does not fit, or because the transaction put more
  /// than 64 messages into the stream, of which `i` is the last. Without `i`: not stored.
  package static let channel = "millstream"

  /// Settings for a transaction that reads, as members of a SELECT. Where statements are prepared once
  /// and planned for tables that are empty then, they must not turn into scans later.
  static let readerSettings = """
    pg_catalog.set_config('enable_seqscan', 'off', true),
      pg_catalog.set_config('enable_bitmapscan', 'off', true),
      pg_catalog.set_config('jit', 'off', true)
    """

  /// Messages of many streams, at most `$3` of each, ordered by ordinal and id.
  ///
  /// - `$1` `text[]`: the names of the streams.
  /// - `$2` `bigint[]`: for each of them the id after which to read, 0 for the beginning.
  /// - `$3` `bigint`: how many of each stream at most.
  ///
  /// Columns: ordinal (from 1, the place in `$1`), id, data, event, visible_to, exclude, epoch. Where
  /// the first id is not the cursor plus one, what is between them is gone. Where the epoch is not
  /// the one that the cursor was of, the stream was removed and made anew meanwhile.
  static let readMessages = """
    select n.ordinal, m.id, m.data, m.event, m.visible_to, m.exclude, s.epoch
    from unnest($1::text[], $2::bigint[]) with ordinality as n (name, cursor, ordinal)
    cross join lateral (
      select t.stream_id, t.epoch from millstream.streams t
      where t.name = n.name collate "C" limit 1) s
    cross join lateral (
      select t.id, t.data, t.event, t.visible_to, t.exclude from millstream.messages t
      where t.stream_id = s.stream_id and t.id > n.cursor order by t.id limit $3::bigint) m
    order by n.ordinal, m.id
    """

  /// Where streams stand: one row for each that was published to, ordered by ordinal.
  ///
  /// - `$1` `text[]`: the names of the streams.
  ///
  /// Columns: ordinal (from 1, the place in `$1`), epoch, last_id, first_available_id (the lowest id
  /// that can still be read; last_id + 1 when none can).
  static let readPositions = """
    select n.ordinal, s.epoch, s.last_id,
      coalesce(
        (select min(m.id) from millstream.messages m where m.stream_id = s.stream_id), s.last_id + 1)
    from unnest($1::text[]) with ordinality as n (name, ordinal)
    cross join lateral (
      select t.stream_id, t.epoch, t.last_id from millstream.streams t
      where t.name = n.name collate "C" limit 1) s
    order by n.ordinal
    """

  /// Retention; a row with rotated, emptied, streams_removed. Run it about once a minute, outside of
  /// any transaction, from as many programs as there are: only one at a time does anything.
  static let maintain = "select rotated, emptied, streams_removed from millstream.maintain()"

  /// Makes the schema, or migrates it, or leaves it alone. The caller runs it, as one simple query,
  /// in a transaction of its own. It needs CREATE on the database, or an empty schema `millstream`
  /// that is its own; no superuser. Fails with 55000 when the database has a newer version.
  ///
  /// Whoever publishes needs `usage` on the schema and `execute` on `millstream.publish` and
  /// `millstream.publish_ephemeral`; whoever reads: `usage`, `select` on `millstream.streams` and
  /// `millstream.messages`, and `execute` on `millstream.maintain`. What closes connections:
  /// ``ControlSchema``.
  ///
  /// A publisher at `repeatable read` or above gets 40001 at its commit when another transaction has
  /// published to the same stream since its snapshot, and has to run again, as at these levels it
  /// must be prepared to. `PREPARE TRANSACTION` is refused by Postgres, because of the notification.
  package static let sql = #"""
    -- Millstream's own store. Run it in one transaction; to run it again changes nothing.
    set transaction isolation level read committed;
    set local search_path = pg_catalog, pg_temp;
    set local client_min_messages = warning;

    -- Of two installs at once, the second waits here, and then finds everything made.
    select pg_advisory_xact_lock(1835625580, 0);

    do $do$
    begin
      if to_regclass('millstream.schema_version') is null then
        if to_regnamespace('millstream') is null then
          create schema millstream;
        end if;
        create table millstream.schema_version (version integer not null);
      end if;
    end
    $do$;

    do $do$
    declare
      installed integer := (select max(version) from millstream.schema_version);
    begin
      if installed > 2 then
        raise exception
          'the millstream schema of this database has version %, and this millstream knows version 2',
          installed
          using errcode = 'object_not_in_prerequisite_state',
                hint = 'Install with the millstream that made it, or with a newer one.';
      end if;
      if installed is not null then
        return;
      end if;

      -- To be changed by hand: update millstream.settings set retain_for = '2 days'.
      create table millstream.settings (
        one boolean primary key default true check (one),
        retain_for interval not null default '1 day' check (retain_for > interval '0'),
        retain_messages bigint not null default 10000000 check (retain_messages > 0)
      );
      insert into millstream.settings default values;

      -- A stream is a counter. Its row is locked from the moment that ids are given out to the end of
      -- the commit: so ids have no holes and are in commit order. No index covers what is updated, and
      -- pages are left half empty, so that an update stays on its page (HOT).
      create sequence millstream.stream_ids cache 32;
      create table millstream.streams (
        name text collate "C" primary key,
        stream_id bigint not null default nextval('millstream.stream_ids'),
        -- From the uuid generator and not from random(), which an application can seed.
        epoch integer not null default greatest(
          1, ('x' || substr(gen_random_uuid()::text, 1, 8))::bit(32)::bigint & 2147483647),
        last_id bigint not null,
        published_at timestamptz not null
      ) with (fillfactor = 50);

      -- The messages, in eight segments: one is written to, the next is empty, six are full.
      create table millstream.messages (
        stream_id bigint not null,
        id bigint not null,
        published_at timestamptz not null,
        segment smallint not null,
        data text not null,
        event text,
        visible_to text,
        exclude text
      ) partition by list (segment);
      create index messages_stream_id_id on millstream.messages (stream_id, id)
        with (deduplicate_items = off);

      -- What transactions that are not at their end have published. Nobody else ever sees a row, so
      -- there is nothing to keep through a crash: unlogged, which writes nothing to the WAL.
      create sequence millstream.outbox_order cache 1000;
      create unlogged table millstream.outbox (
        xid xid8 not null,
        seq bigint not null default nextval('millstream.outbox_order'),
        is_first boolean not null,
        stream text collate "C" not null,
        data text not null,
        event text,
        visible_to text,
        exclude text
      ) with (
        autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_scale_factor = 0,
        vacuum_truncate = false
      );
      create index outbox_xid on millstream.outbox (xid);

      -- A datum is compressed once, when it is published, and moves to the messages as it is.
      if 'lz4' = any (array(
        select unnest(enumvals) from pg_settings where name = 'default_toast_compression'))
      then
        execute 'alter table millstream.messages alter column data set compression lz4';
        execute 'alter table millstream.outbox alter column data set compression lz4';
      end if;

      -- opened_at is null where a segment is empty and nothing was written since it was emptied.
      create table millstream.segments (segment smallint primary key, opened_at timestamptz);
      for n in 0..7 loop
        execute format(
          'create table millstream.%I partition of millstream.messages for values in (%s)
             with (autovacuum_vacuum_insert_threshold = -1)', 'messages_' || n, n);
        insert into millstream.segments values (n, case n when 0 then clock_timestamp() end);
      end loop;
      -- The segment that is written to. A sequence, because that is read as it is now, whatever the
      -- snapshot of the publisher.
      create sequence millstream.segment as smallint minvalue 0 maxvalue 7 start 0;

      -- How far maintain() has come in looking for streams to remove.
      create table millstream.sweep (
        one boolean primary key default true check (one),
        name text collate "C" not null default ''
      );
      insert into millstream.sweep default values;
    end
    $do$;

    -- The payload of a notification. Null members are left out; a null id: it was not stored.
    create or replace function millstream.payload(
      stream text, epoch integer, id bigint, data text, event text, visible_to text, exclude text
    ) returns text language sql stable parallel safe as $fn$
      select '{"s":' || to_json(stream)::text
        || coalesce(',"e":' || epoch::text || ',"i":' || id::text, '')
        || coalesce(',"d":' || to_json(data)::text, '')
        || coalesce(',"t":' || to_json(event)::text, '')
        || coalesce(',"v":' || to_json(visible_to)::text, '')
        || coalesce(',"x":' || to_json(exclude)::text, '')
        || '}'
    $fn$;

    -- Says what is wrong with the arguments of publish().
    create or replace function millstream.refuse(stream text, data text, event text)
    returns void language plpgsql set search_path = pg_catalog, pg_temp as $fn$
    begin
      if stream is null then
        raise exception 'millstream: the stream is null' using errcode = '22004';
      elsif stream = '' then
        raise exception 'millstream: the stream is the empty string' using errcode = '22023';
      elsif octet_length(stream) > 512 then
        raise exception 'millstream: the name of the stream has % bytes, and at most 512 are allowed',
          octet_length(stream) using errcode = '22023';
      elsif data is null then
        raise exception 'millstream: the data is null' using errcode = '22004';
      elsif event ~ E'[\r\n]' then
        raise exception 'millstream: the event % holds a line break', to_json(event)
          using errcode = '22023';
      else
        raise exception 'millstream: the name of the stream % holds a control character',
          to_json(stream) using errcode = '22023';
      end if;
    end
    $fn$;

    -- Puts a message into a stream when the transaction commits.
    create or replace function millstream.publish(
      stream text, data text,
      event text default null, visible_to text default null, exclude text default null
    ) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
    declare
      xid xid8 := pg_current_xact_id();
      -- '': nothing pending; the transaction's id: one message; with a '+': several. Transaction-local,
      -- and rolled back with savepoints as the rows are. It spares trigger events: what is forgotten
      -- (RESET ALL) costs one more event. Who sets it by hand to lie loses messages, and only their own.
      pending text := current_setting('millstream.pending', true);
      is_first boolean := false;
    begin
      if stream is null or stream = '' or octet_length(stream) > 512
        or stream ~ E'[\x01-\x1f\x7f]' or data is null or event ~ E'[\r\n]'
      then
        perform millstream.refuse(stream, data, event);
      end if;
      if pending = xid::text then
        pending := set_config('millstream.pending', xid::text || '+', true);
      elsif pending is distinct from xid::text || '+' then
        pending := set_config('millstream.pending', xid::text, true);
        is_first := true;
      end if;
      insert into millstream.outbox (xid, is_first, stream, data, event, visible_to, exclude)
      values (xid, is_first, stream, data, event, visible_to, exclude);
    end
    $fn$;

    -- Sends a message when the transaction commits to whoever is there, and stores it nowhere. Postgres
    -- sends what is the same to the byte only once for each transaction.
    create or replace function millstream.publish_ephemeral(
      stream text, data text,
      event text default null, visible_to text default null, exclude text default null
    ) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
    declare
      note text;
    begin
      if stream is null or stream = '' or octet_length(stream) > 512
        or stream ~ E'[\x01-\x1f\x7f]' or data is null or event ~ E'[\r\n]'
      then
        perform millstream.refuse(stream, data, event);
      end if;
      if octet_length(data) < 8000 then
        note := millstream.payload(stream, null, null, data, event, visible_to, exclude);
      end if;
      if note is null or octet_length(note) > 7999 then
        raise exception
          'millstream: an ephemeral message with % bytes of data does not fit a notification',
          octet_length(data)
          using errcode = '22023',
                detail = 'A notification has room for 7999 bytes of JSON' || coalesce(
                  ', and this is ' || octet_length(note) || '.', '.'),
                hint = 'Publish it with millstream.publish(), which stores it.';
      end if;
      perform pg_notify('millstream', note);
    end
    $fn$;

    -- Gives ids to all that the transaction has pending, and moves it to the messages. Without
    -- sequential scans: a plan is kept from when a table was small, or a bloated outbox looked small.
    create or replace function millstream.assign_many(pending xid8)
    returns void language plpgsql
    set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $fn$
    declare
      current_segment smallint;
      sent record;
    begin
      -- In one order, whatever the order of the calls: so two transactions never wait for each other.
      -- It makes the streams that are missing in the same order.
      insert into millstream.streams as s (name, last_id, published_at)
      select o.stream, count(*), clock_timestamp() from millstream.outbox o
       where o.xid = pending group by o.stream order by o.stream
      on conflict (name) do update
        set last_id = s.last_id + excluded.last_id, published_at = clock_timestamp();

      -- Only now that the streams are locked: so the segments of a stream's messages are in id order.
      select last_value into current_segment from millstream.segment;

      for sent in
        with moved as (
          delete from millstream.outbox o where o.xid = pending
          returning o.seq, o.stream, o.data, o.event, o.visible_to, o.exclude
        ), numbered as materialized (
          select m.*, s.stream_id, s.epoch, s.last_id,
            count(*) over (partition by m.stream) as total,
            s.last_id - count(*) over (partition by m.stream)
              + row_number() over (partition by m.stream order by m.seq) as id
          from moved m cross join lateral (
            select t.stream_id, t.epoch, t.last_id from millstream.streams t
             where t.name = m.stream offset 0) s
        ), stored as (
          insert into millstream.messages
            (stream_id, id, published_at, segment, data, event, visible_to, exclude)
          select n.stream_id, n.id, clock_timestamp(), current_segment,
            n.data, n.event, n.visible_to, n.exclude
          from numbered n order by n.stream, n.id
        ), noted as (
          select n.stream, n.epoch, n.id,
            case when n.total <= 64 and octet_length(n.data) < 8000 then
              millstream.payload(
                n.stream, n.epoch, n.id, n.data, n.event, n.visible_to, n.exclude)
            end as whole
          from numbered n where n.total <= 64 or n.id = n.last_id order by n.stream, n.id
        )
        select pg_notify('millstream',
          case when octet_length(n.whole) < 8000 then n.whole
            else millstream.payload(n.stream, n.epoch, n.id, null, null, null, null) end)
        from noted n order by n.stream, n.id
      loop
      end loop;
    end
    $fn$;

    -- Fires once at the commit (or at SET CONSTRAINTS ... IMMEDIATE, and then with every publish()).
    create or replace function millstream.assign_ids()
    returns trigger language plpgsql security definer
    set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $fn$
    declare
      is_single boolean := current_setting('millstream.pending', true) = new.xid::text;
      stream record;
      note text;
    begin
      -- What is published from now on needs an event of its own: another deferred trigger may do so.
      note := set_config('millstream.pending', '', true);
      if is_single then
        delete from millstream.outbox o where o.ctid = new.ctid;
        is_single := found;
      end if;
      if not is_single then
        perform millstream.assign_many(new.xid);
        return null;
      end if;

      -- The same for one message, which is the usual case, in half the time.
      update millstream.streams s set last_id = s.last_id + 1, published_at = clock_timestamp()
       where s.name = new.stream returning s.stream_id, s.epoch, s.last_id into stream;
      if not found then
        insert into millstream.streams as s (name, last_id, published_at)
        values (new.stream, 1, clock_timestamp())
        on conflict (name) do update set last_id = s.last_id + 1, published_at = clock_timestamp()
        returning s.stream_id, s.epoch, s.last_id into stream;
      end if;
      insert into millstream.messages
        (stream_id, id, published_at, segment, data, event, visible_to, exclude)
      values (
        stream.stream_id, stream.last_id, clock_timestamp(),
        (select last_value from millstream.segment),
        new.data, new.event, new.visible_to, new.exclude);

      note := null;
      if octet_length(new.data) < 8000 then
        note := millstream.payload(new.stream, stream.epoch, stream.last_id,
          new.data, new.event, new.visible_to, new.exclude);
      end if;
      if note is null or octet_length(note) > 7999 then
        note := millstream.payload(
          new.stream, stream.epoch, stream.last_id, null, null, null, null);
      end if;
      note := pg_notify('millstream', note);
      return null;
    end
    $fn$;

    -- Retention. To be called now and then, by anyone, in a transaction of its own.
    create or replace function millstream.maintain(
      out rotated boolean, out emptied boolean, out streams_removed bigint
    ) language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '100ms' set enable_seqscan = off set jit = off as $fn$
    declare
      settings record;
      swept text;
      swept_now text;
      current_segment smallint;
      next_segment smallint;
      current_opened_at timestamptz;
      held double precision;
    begin
      rotated := false;
      emptied := false;
      streams_removed := 0;
      if not pg_try_advisory_xact_lock(1835625580, 1) then
        return;
      end if;
      select s.retain_for, s.retain_messages into settings from millstream.settings s;

      -- 1. Streams without messages that nobody has published to for long, some at a time. A stream
      -- that a publisher holds is skipped; a publisher that waits for us makes the stream anew.
      select s.name into swept from millstream.sweep s;
      select max(b.name) into swept_now from (
        select s.name from millstream.streams s where s.name > swept order by s.name limit 5000) b;
      delete from millstream.streams d where d.name = any (array(
        select s.name from millstream.streams s
         where s.name > swept and s.name <= swept_now
           and s.published_at < clock_timestamp() - settings.retain_for
           and (select min(m.id) from millstream.messages m where m.stream_id = s.stream_id) is null
           for update skip locked));
      get diagnostics streams_removed = row_count;
      update millstream.sweep s set name = coalesce(swept_now, '')
       where s.name <> coalesce(swept_now, '');

      -- 2. On to the next segment, which was emptied by an earlier transaction: publishers go there at
      -- once, even before we commit, and find nothing of ours in their way.
      select last_value into current_segment from millstream.segment;
      next_segment := (current_segment + 1) % 8;
      select s.opened_at into current_opened_at from millstream.segments s
       where s.segment = current_segment;
      if current_opened_at is null then
        -- The transaction that came here was rolled back after it had set the sequence.
        update millstream.segments s set opened_at = clock_timestamp()
         where s.segment = current_segment;
      elsif exists (
        select from millstream.segments s where s.segment = next_segment and s.opened_at is null)
      then
        -- Six segments are full, hence retain_for / 6: what is younger than retain_for is kept. Seven
        -- hold messages, hence retain_messages / 7: no more than that are kept, as far as we can tell
        -- without counting them.
        select greatest(pg_stat_get_live_tuples(c.oid), case when c.reltuples > 0 and c.relpages > 0
            then c.reltuples / c.relpages
              * (pg_relation_size(c.oid) / current_setting('block_size')::integer)
            else 0 end)
          into held from pg_class c
         where c.oid = format('millstream.%I', 'messages_' || current_segment)::regclass;
        if current_opened_at < clock_timestamp() - settings.retain_for / 6
          or held > settings.retain_messages / 7
        then
          update millstream.segments s set opened_at = clock_timestamp()
           where s.segment = next_segment;
          perform setval('millstream.segment', next_segment);
          rotated := true;
          next_segment := (next_segment + 1) % 8;
        end if;
      end if;

      -- 3. Empty the segment after the current one. Last, so that its lock is held for no time.
      if exists (
        select from millstream.segments s where s.segment = next_segment and s.opened_at is not null)
      then
        begin
          execute format('truncate millstream.%I', 'messages_' || next_segment);
          update millstream.segments s set opened_at = null where s.segment = next_segment;
          emptied := true;
        exception when lock_not_available or deadlock_detected then
          -- Somebody reads it for long. It is tried again with the next call.
          emptied := false;
        end;
      end if;
    end
    $fn$;

    do $do$
    begin
      if not exists (select from millstream.schema_version) then
        create constraint trigger assign_ids after insert on millstream.outbox
          deferrable initially deferred for each row when (new.is_first)
          execute function millstream.assign_ids();
        -- Also where session_replication_role is replica: or the message would never get its id.
        alter table millstream.outbox enable always trigger assign_ids;
        -- Whoever publishes needs USAGE on the schema and EXECUTE on the function, and nothing else.
        revoke all on all functions in schema millstream from public;
        insert into millstream.schema_version values (1);
      end if;
    end
    $do$;
    """# + "\n" + ControlSchema.sql + "\n" + PresenceSchema.sql + """

      update millstream.schema_version set version = \(version) where version < \(version);
      """
}
