/// How the session that writes talks to Postgres.
enum WriteSettings {
  /// How long what is left to say at the end may take, in milliseconds.
  static let lastWordsMs: Int64 = 2_000

  /// For one transaction: a pooler may lend the session to others. Rails keeps times without a zone, in UTC.
  static let sql = """
    SELECT pg_catalog.set_config('lock_timeout', '2s', true),
           pg_catalog.set_config('statement_timeout', '10s', true),
           pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('jit', 'off', true)
    """
}
