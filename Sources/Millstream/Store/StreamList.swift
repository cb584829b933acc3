/// Asks which native streams fit each of several patterns.
final class StreamListQuery: Query {
  private var names: [[[UInt8]]]
  private let answered: ([[[UInt8]]]?) -> Void

  /// `answered` gets the names for each pattern, one more than a connection can follow at most; nil: there
  /// was no answer.
  init(_ patterns: [[UInt8]], answered: @escaping ([[[UInt8]]]?) -> Void) {
    names = Array(repeating: [], count: patterns.count)
    self.answered = answered
    let prefixes = patterns.map { Array($0.prefix { $0 != UInt8(ascii: "*") }) }
    super.init(
      sql: StreamListQuery.sql,
      parameters: [
        PostgresStore.arrayLiteral(patterns.map(StreamListQuery.like)),
        PostgresStore.arrayLiteral(prefixes), String(CursorVector.maximumStreams + 1),
      ])
  }

  /// The beginning of the pattern finds its way in the index; no name sorts behind the last character.
  private static let sql = """
    SELECT wish.number, stream.name
      FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]))
           WITH ORDINALITY AS wish(pattern, beginning, number)
     CROSS JOIN LATERAL (
       SELECT name FROM millstream.streams
        WHERE name >= wish.beginning AND name < wish.beginning || pg_catalog.chr(1114111)
          AND name LIKE wish.pattern
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
    names[Int(number) - 1].append(Array(name))
  }

  override func finished() {
    answered(names)
  }

  /// Where the schema is not there, there are no streams yet.
  override func failed(_ failure: QueryFailure) {
    answered(failure.isAbsence ? names.map { _ in [] } : nil)
  }
}
