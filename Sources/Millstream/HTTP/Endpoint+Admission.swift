/// Who is let in, and what the others are told.
extension Endpoint {
  /// Whoever was refused waits so long, on average, at the least.
  private static let leastRetryMs: Int64 = 1_000

  /// Why a client whose name is in order is not let in; nil: it is.
  func refusal(_ arrival: inout Arrival, lanes: Int) -> RefusalReason? {
    if isTurningAway { return .draining }
    return roomIsGone(lanes) ?? gate.enter(&arrival, nowMs: clock.monotonicMs)
  }

  /// The answer to one that is not let in.
  func refusing(
    _ reason: RefusalReason, _ store: StoreKind, _ arrival: Arrival
  ) -> HTTPResponse {
    instance.parts.writer.statistics.count(reason)
    var response = later(HTTPResponse.refusing(reason), store, arrival)
    response.refusal = reason
    return response
  }

  /// It cannot be said now who may listen.
  func unavailable(_ store: StoreKind, _ arrival: Arrival) -> HTTPResponse {
    refusing(.unavailable, store, arrival)
  }

  /// A temporary refusal, as clients of this store are to have it.
  private func later(
    _ hard: HTTPResponse, _ store: StoreKind, _ arrival: Arrival
  ) -> HTTPResponse {
    var response = hard
    if gate.refusesSoftly(store) {
      let retryMs = max(instance.configuration.retryMs, Endpoint.leastRetryMs)
      response = response.softened(retryMs: instance.jittered(retryMs))
    }
    return response.adding(arrival.originFields)
  }

  /// Asked again once it is known who may: while it was asked about, others may have come.
  private func roomIsGone(_ lanes: Int) -> RefusalReason? {
    instance.hasRoom(forLanes: lanes) ? nil : .full
  }

  /// Counts a client that may listen as one of its member's and its stream's; what refuses it, if there are
  /// too many.
  func seat(
    _ subscription: Subscription, _ context: ConnectionContext?, _ arrival: inout Arrival
  ) -> HTTPResponse? {
    let reason = roomIsGone(0) ?? gate.seat(&arrival, context?.member, subscription)
    return reason.map { refusing($0, subscription.store, arrival) }
  }

  /// The same for several streams; those that are full are refused in `set`.
  func seat(_ set: inout SubscriptionSet, _ arrival: inout Arrival) -> HTTPResponse? {
    if let reason = roomIsGone(set.subscriptions.count) {
      return refusing(reason, set.store, arrival)
    }
    if let reason = gate.seat(&arrival, &set) { return refusing(reason, set.store, arrival) }
    if !set.refusals.isEmpty { refused(set.refusals, arrival) }
    return nil
  }

  /// These of several streams were refused, and the others are served.
  private func refused(_ refusals: [SubscriptionSet.Refusal], _ arrival: Arrival) {
    for refusal in refusals {
      if let reason = refusal.reason {
        instance.parts.writer.statistics.count(reason)
      } else {
        instance.parts.writer.statistics.rejections.add(refusal.status)
      }
    }
    log?.refused(refusals, arrival, nowMs: clock.monotonicMs)
  }

  /// A request has been refused; `address` nil: that of `descriptor`.
  func refused(_ response: HTTPResponse, _ arrival: Arrival, on descriptor: Int32) {
    // Temporary ones were counted where it was found out why.
    if response.refusal == nil { instance.parts.writer.statistics.rejections.add(response.status) }
    var arrival = arrival
    arrival.address = arrival.address ?? NetworkAddress(peerOf: descriptor)
    log?.refused(response, arrival, nowMs: clock.monotonicMs)
  }

  private var log: EndLog? { instance.parts.dispatcher.endLog }
}
