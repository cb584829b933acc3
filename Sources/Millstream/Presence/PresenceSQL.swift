/// What is asked of the table of members of a store: pgbus's own, or the one of Millstream's schema, which
/// has the same columns. What changes is notified by the statement that changes it, where the stream's
/// ephemeral broadcasts are.
struct PresenceSQL {
  /// Asks all who have connections of a member to touch its row. The payload: a JSON array of store, stream
  /// and member, one after the other.
  static let channel = "millstream_presence"
  /// The most members of a list, and bytes of its JSON.
  static let listMembers = 1_000
  static let listBytes = 64 * 1024
  /// The most rows that are swept at once.
  static let staleRows = 500

  private let table: String
  /// An SQL expression: what is notified for the stream `stream_name`, with the event's data in place of `$`.
  private let payload: (String) -> String

  init(_ store: StoreKind) {
    switch store {
    case .pgmq, .host:
      table = "pgbus_presence_members"
      payload = { #"'{"html":' || to_json(\#($0))::text || ',"event":"presence"}'"# }
    case .native:
      table = "millstream.presence_members"
      payload = {
        #"'{"s":' || to_json(changed.stream_name)::text || ',"d":' || to_json(\#($0))::text || ',"t":"presence"}'"#
      }
    }
  }

  /// A row for each that is new, and has been told. `$1` to `$4`: streams, members, metadata, channels;
  /// `$5`: whether the metadata counts where the row is there. In order, so that two do not wait for each
  /// other.
  var write: String {
    """
    WITH given AS (
      SELECT g.stream, g.member, g.metadata::jsonb AS metadata, g.channel
        FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]))
          AS g(stream, member, metadata, channel)
       ORDER BY g.stream COLLATE "C", g.member COLLATE "C"
    ), written AS (
      INSERT INTO \(table) AS m (stream_name, member_id, metadata, joined_at, last_seen_at)
      SELECT stream, member, metadata, clock_timestamp(), clock_timestamp() FROM given
      ON CONFLICT (stream_name, member_id) DO UPDATE
        SET last_seen_at = clock_timestamp(),
            metadata = CASE WHEN $5::boolean THEN excluded.metadata ELSE m.metadata END
      RETURNING m.stream_name, m.member_id, m.metadata, m.xmax = 0 AS is_new
    ), changed AS (
      SELECT w.stream_name::text, w.member_id::text, w.metadata, g.channel
        FROM written w JOIN given g ON g.stream = w.stream_name AND g.member = w.member_id
       WHERE w.is_new
    ), present AS (
      SELECT c.stream_name, count(*) + (
          SELECT count(*) FROM \(table) m WHERE m.stream_name = c.stream_name) AS members
        FROM changed c GROUP BY c.stream_name
    )
    \(notify("join"))
    """
  }

  /// A row for each that is gone, and has been told. `$1` to `$4`: streams, members, channels, and the times
  /// at or before which the row was touched last. One that somebody has locked is being touched, or removed.
  var remove: String {
    """
    WITH given AS (
      SELECT g.stream, g.member, g.channel, g.cutoff
        FROM ROWS FROM (
          unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::timestamptz[]))
          AS g(stream, member, channel, cutoff)
    ), held AS (
      SELECT m.stream_name, m.member_id, g.channel
        FROM \(table) m JOIN given g ON g.stream = m.stream_name AND g.member = m.member_id
       WHERE m.last_seen_at <= g.cutoff FOR UPDATE OF m SKIP LOCKED
    ), changed AS (
      DELETE FROM \(table) m USING held h
       WHERE m.stream_name = h.stream_name AND m.member_id = h.member_id
      RETURNING m.stream_name::text, m.member_id::text, m.metadata, h.channel
    ), present AS (
      SELECT c.stream_name, (
          SELECT count(*) FROM \(table) m WHERE m.stream_name = c.stream_name) - count(*) AS members
        FROM changed c GROUP BY c.stream_name
    )
    \(notify("leave"))
    """
  }

  /// Notifies for each row of `changed`; where that is too long for a notification, without the metadata.
  private func notify(_ type: String) -> String {
    """
    SELECT pg_notify(changed.channel, CASE WHEN octet_length(\(payload("data.whole"))) < 8000
        THEN \(payload("data.whole")) ELSE \(payload("data.bare")) END)
      FROM changed JOIN present USING (stream_name)
      CROSS JOIN LATERAL (
        SELECT '{"type":"\(type)","member":' || to_json(changed.member_id)::text || ',"metadata":' AS head,
               ',"present":' || present.members || '}' AS tail) AS parts
      CROSS JOIN LATERAL (
        SELECT parts.head || coalesce(changed.metadata, '{}')::text || parts.tail AS whole,
               parts.head || '{}' || parts.tail AS bare) AS data
    """
  }

  /// Asks others, with each of the payloads in `$1`; one row: the server's time.
  static let ask = """
    SELECT clock_timestamp()::text,
           (SELECT count(pg_notify('\(channel)', payload)::text) FROM unnest($1::text[]) AS payload)
    """

  /// Rows that nobody has touched for `$1` milliseconds, on streams like one of `$2`: stream, member, and the
  /// time that was old enough.
  var stale: String {
    """
    SELECT m.stream_name, m.member_id, old.cutoff::text
      FROM (SELECT clock_timestamp() - $1::bigint * interval '1 millisecond') AS old(cutoff), \(table) m
     WHERE m.last_seen_at <= old.cutoff AND m.stream_name LIKE ANY ($2::text[]) LIMIT \(PresenceSQL.staleRows)
    """
  }

  /// For each of the streams in `$1`: its number from 1, how many members there are, how many follow, and
  /// these as JSON.
  var list: String {
    """
    SELECT n.ordinal, present.members, shown.members, shown.json
      FROM unnest($1::text[]) WITH ORDINALITY AS n(name, ordinal)
      CROSS JOIN LATERAL (SELECT count(*) FROM \(table) m WHERE m.stream_name = n.name) AS present(members)
      CROSS JOIN LATERAL (
        SELECT count(*), coalesce(string_agg(sized.json, ',' ORDER BY sized.member_id), '')
          FROM (
            SELECT entry.member_id, entry.json,
                   sum(octet_length(entry.json) + 1) OVER (ORDER BY entry.member_id) AS bytes
              FROM (
                SELECT m.member_id, '{"member":' || to_json(m.member_id::text)::text || ',"metadata":'
                         || coalesce(m.metadata, '{}')::text || '}' AS json
                  FROM \(table) m WHERE m.stream_name = n.name
                 ORDER BY m.member_id LIMIT \(PresenceSQL.listMembers)) AS entry) AS sized
         WHERE sized.bytes <= \(PresenceSQL.listBytes)) AS shown(members, json)
    """
  }

  /// A pattern for names as LIKE has it.
  static func like(_ pattern: String) -> [UInt8] {
    pattern.utf8.flatMap { byte -> [UInt8] in
      switch byte {
      case UInt8(ascii: "*"): [UInt8(ascii: "%")]
      case UInt8(ascii: "%"), UInt8(ascii: "_"), UInt8(ascii: "\\"): [UInt8(ascii: "\\"), byte]
      default: [byte]
      }
    }
  }
}
