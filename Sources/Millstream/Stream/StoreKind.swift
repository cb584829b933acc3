/// Which store a stream is in.
public enum StoreKind: UInt8, Hashable, Sendable, CaseIterable {
  /// PGMQ queue tables, as pgbus uses them.
  case pgmq
  /// Millstream's own schema.
  case native
  /// A store of the host's own.
  case host

  /// Those that are in Postgres.
  public static let inPostgres: Set<StoreKind> = [.pgmq, .native]
}
