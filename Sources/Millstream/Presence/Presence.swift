import Logging

/// Tells those who are on a stream who else is: joins, leaves, and the list when they come.
///
/// Nothing is written at once: what has happened is gathered for a tenth of a second, and then goes out as
/// one statement for many, on a session of its own.
final class Presence {
  struct Settings {
    var patterns: [String]
    var graceMs: Int64
    var heartbeatMs: Int64
    var queuePrefix: String

    /// A row that nobody has touched for so long is of a process that is gone.
    var staleMs: Int64 { 3 * heartbeatMs + 1_000 }
  }

  /// The name of the event.
  static let event = Array("presence".utf8)
  /// What happens within that goes out together.
  private static let gatherMs: Int64 = 100
  /// After a refusal, for what is tried again.
  private static let refusedPauseMs: Int64 = 1_000
  /// A refusal is logged that often.
  private static let logMs: Int64 = 60_000
  private static let maximumOpenStatements = 8
  private static let slotsInTick = 4_096
  static let listsInQuery = 16

  /// Where a connection, or a lane, is.
  struct Place {
    let seat: PresenceLists.Seat
    let stream: PresenceStream
    let log: ObjectIdentifier
    /// Nil: it names no member, or there are too many.
    let member: PresenceKey?
  }

  let session: PostgresSession
  let writer: Writer
  let settings: Settings
  private let patterns: [StreamPattern]
  private let logger: Logger
  var stores: Set<StoreKind>
  var table: PresenceTable
  var lists = PresenceLists()
  var places: [UInt32: Place] = [:]
  /// Where those are who have not got their lists since notifications were lost.
  private var nextListSlot = Int.max
  private var openStatements = 0
  private var nextFlushMs: Int64 = 0
  var nextSweepMs: Int64 = 0
  private var nextLogMs: Int64 = 0
  private var isEnding = false

  init(
    session: PostgresSession, writer: Writer, stores: Set<StoreKind>, settings: Settings,
    logger: Logger
  ) {
    self.session = session
    self.writer = writer
    self.stores = stores
    self.settings = settings
    self.logger = logger
    patterns = settings.patterns.map { StreamPattern($0) }
    table = PresenceTable(
      PresenceTable.Limits(graceMs: settings.graceMs, touchMs: settings.heartbeatMs))
  }

  /// How many members have connections here.
  var memberCount: Int { table.presentCount }

  // MARK: Connections

  /// A connection, or a lane, to which can be sent from now on.
  func opened(
    _ connection: ConnectionRef, _ stream: Stream, name: some Sequence<UInt8>,
    _ context: ConnectionContext?
  ) {
    guard stores.contains(stream.store) else { return }
    let identity = PresenceStream(store: stream.store, name: Array(name))
    guard patterns.contains(where: { $0.matches(identity.name) }) else { return }
    let slot = connection.pointee.slot
    let seat = PresenceLists.Seat(slot: slot, id: connection.pointee.id)
    let place = Place(
      seat: seat, stream: identity, log: ObjectIdentifier(stream),
      member: enter(identity, context))
    places[slot] = place
    lists.want(seat, identity, heardBy: place.log)
  }

  private func enter(_ stream: PresenceStream, _ context: ConnectionContext?) -> PresenceKey? {
    guard let context, let member = context.member,
      let key = PresenceKey(stream, memberNamed: member)
    else { return nil }
    let metadata = Array((context.metadata ?? "{}").utf8)
    let entry = table.entered(key, metadata: metadata, nowMs: writer.clock.monotonicMs)
    return entry == .counted ? key : nil
  }

  /// A connection, or a lane, has ended.
  func ended(_ connection: ConnectionRef) {
    guard let place = places.removeValue(forKey: connection.pointee.slot) else { return }
    lists.left(place.seat, place.stream, heardBy: place.log)
    if let member = place.member { table.left(member, nowMs: writer.clock.monotonicMs) }
  }

  // MARK: Notifications

  /// Somebody asks for members.
  func notified(_ payload: UnsafeRawBufferPointer) {
    guard let keys = PresenceQuestion.keys(payload) else {
      return writer.statistics.invalidNotifications += 1
    }
    for key in keys { table.wasAsked(key) }
  }

  /// A broadcast has come for a stream. What is said of members is for all of it: one that is not, an application
  /// has published by that name.
  func heard(_ message: StreamMessage, on stream: Stream) {
    guard !lists.isEmpty, message.event == Presence.event, message.visibleTo == nil,
      message.exclude == nil
    else { return }
    lists.heard(FrameWriter.frame(of: message), by: ObjectIdentifier(stream))
  }

  /// Notifications come again that did not for a while: what has changed meanwhile nobody has heard, nor the
  /// questions.
  func listensAgain() {
    table.writeAll()
    nextListSlot = 0
  }

  /// All want their lists anew: some of them at a time.
  private func wantLists() {
    let slotCount = writer.table.slotCount
    guard nextListSlot < slotCount else { return }
    let end = min(nextListSlot + Presence.slotsInTick, slotCount)
    for slot in nextListSlot..<end {
      guard let place = places[UInt32(slot)] else { continue }
      lists.want(place.seat, place.stream, heardBy: place.log)
    }
    nextListSlot = end < slotCount ? end : .max
  }

  // MARK: The session

  func sessionReady() {
    table.writeAll()
    // While Postgres was away nobody could touch anything: all others get the time for it first.
    nextSweepMs = writer.clock.monotonicMs + settings.staleMs
  }

  func sessionLost() {
    table.sessionLost()
  }

  /// The connections are gone: says so, without a grace period.
  func end() {
    isEnding = true
    table.end()
  }

  /// All has been said.
  var isOver: Bool { table.isEmpty }

  // MARK: Writing

  /// Called by a timer, some times in a tenth of a second.
  func tick(_ nowMs: Int64) {
    guard nowMs >= nextFlushMs, session.isReady else { return }
    nextFlushMs = nowMs + Presence.gatherMs
    wantLists()
    // Not until there is no more: what cannot be sent is tried again.
    for _ in 0..<Presence.maximumOpenStatements {
      guard openStatements < Presence.maximumOpenStatements, writeSome(nowMs) else { break }
    }
    if nowMs >= nextSweepMs, !isEnding { sweep(nowMs) }
    session.flush()
  }

  // MARK: Asking Postgres

  /// `store` nil: it is about none of them.
  func submit(
    _ sql: String, _ parameters: [String?], _ store: StoreKind?,
    took: @escaping (Row) -> Void = { _ in },
    ended: @escaping (Result<Int, QueryFailure>) -> Void
  ) {
    openStatements += 1
    let query = ClosureQuery(sql, parameters, took: took) { [weak self] result in
      guard let self else { return }
      openStatements -= 1
      ended(result)
      if case .failure(let failure) = result { failed(failure, store) }
    }
    session.submit(Query(sql: WriteSettings.sql), moreFollow: true)
    session.submit(query)
  }

  private func failed(_ failure: QueryFailure, _ store: StoreKind?) {
    guard case .refused(let sqlState, let message) = failure else { return }
    var metadata: Logger.Metadata = ["sqlstate": "\(sqlState)", "reason": "\(message)"]
    if let store, failure.isFinal {
      guard stores.remove(store) != nil else { return }
      metadata["store"] = "\(store)"
      table.forget(store)
      lists.forget(store)
      logger.warning("presence is off for a store: 'doctor' says what it needs", metadata: metadata)
      return
    }
    let nowMs = writer.clock.monotonicMs
    nextFlushMs = nowMs + Presence.refusedPauseMs
    guard nowMs >= nextLogMs else { return }
    nextLogMs = nowMs + Presence.logMs
    logger.warning("postgres refuses what is to be said of members", metadata: metadata)
  }
}
