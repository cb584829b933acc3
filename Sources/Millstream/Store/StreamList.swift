/// Asks which native streams fit each of several patterns.
final class StreamListQuery: Query {
  /// What there is for a pattern.
  struct Listing {
    /// One more than a connection can follow at most.
    var names: [[UInt8]] = []
    /// Too many streams begin as the pattern does to look at each of them.
    var isTooWide = false
  }

  /// So many streams are looked at for one pattern, whether they fit or not: some milliseconds. Nobody else's
  /// question shall wait for long behind patterns of which nothing fits.
  static let maximumSeen = 10_000

  private var listings: [Listing]
  private let answered: (Result<[Listing], QueryFailure>) -> Void

  /// `answered` gets what there is for each pattern.
  init(_ patterns: [[UInt8]], answered: @escaping (Result<[Listing], QueryFailure>) -> Void) {
    listings = Array(repeating: Listing(), count: patterns.count)
    self.answered = answered
    let prefixes = patterns.map { Array($0.prefix { $0 != UInt8(ascii: "*") }) }
    super.init(
      sql: StreamListQuery.sql,
      parameters: [
        PostgresStore.arrayLiteral(patterns.map(StreamListQuery.like)),
        PostgresStore.arrayLiteral(prefixes), String(CursorVector.maximumStreams + 1),
        String(StreamListQuery.maximumSeen),
      ])
  }

  /// The beginning of the pattern finds its way in the index; no name sorts behind so many of the last character,
  /// which not every encoding has. One stream beyond those that may be looked at says that there are such.
  private static let sql = """
    SELECT wish.number, stream.name, stream.place > $4::bigint
      FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]))
           WITH ORDINALITY AS wish(pattern, beginning, number)
     CROSS JOIN LATERAL (
       SELECT near.name, near.place FROM (
         SELECT name, pg_catalog.row_number() OVER () AS place FROM millstream.streams
          WHERE name >= wish.beginning AND name < wish.beginning || pg_catalog.repeat(pg_catalog.chr(
                CASE pg_catalog.getdatabaseencoding() WHEN 'UTF8' THEN 1114111 ELSE 255 END), 8)
          LIMIT $4::bigint + 1) AS near
        WHERE near.place > $4::bigint OR near.name LIKE wish.pattern
        LIMIT $3::integer) AS stream
    """

  /// As LIKE has it: `%` for any run, and what would mean something escaped.
  private static func like(_ pattern: [UInt8]) -> [UInt8] {
    pattern.flatMap { byte -> [UInt8] in
      switch byte {
      case UInt8(ascii: "*"): [UInt8(ascii: "%")]
      case UInt8(ascii: "%"), UInt8(ascii: "_"), UInt8(ascii: "\\"): [UInt8(ascii: "\\"), byte]
      default: [byte]
      }
    }
  }

  override func row(_ row: Row) {
    guard let number = row.integer(0), let name = row.bytes(1) else { return }
    if row.bool(2) {
      listings[Int(number) - 1].isTooWide = true
    } else {
      listings[Int(number) - 1].names.append(Array(name))
    }
  }

  override func finished() {
    answered(.success(listings))
  }

  /// Where the schema is not there, there are no streams yet.
  override func failed(_ failure: QueryFailure) {
    answered(failure.isAbsence ? .success(listings.map { _ in Listing() }) : .failure(failure))
  }
}
