/// Finds out who a client is, and whether there is a place for it.
struct Gate {
  private let limits: ConnectionLimits
  private let proxies: [TrustedProxy]
  private let soft: SoftRefusals
  var counts: ConnectionCounts

  init(_ configuration: EndpointConfiguration, _ counts: ConnectionCounts) {
    limits = configuration.limits
    proxies = configuration.trustedProxies
    soft = configuration.refusesSoftly
    self.counts = counts
  }

  /// `peer`: where the connection is from; nil: it has no address.
  func arrival(_ head: RequestHead, from peer: NetworkAddress?) -> Arrival {
    var arrival = Arrival(
      requestID: RequestID(head.value(of: RequestID.field)), address: peer)
    var forwarded: NetworkAddress?
    if !proxies.isEmpty && proxies.trust(peer) {
      arrival.address = ForwardedFor.client(
        peer: peer, head.values(of: "x-forwarded-for"), proxies)
      if arrival.address != peer { forwarded = arrival.address }
    }
    if forwarded != nil || arrival.requestID.given != nil {
      let admission = admission(of: &arrival)
      admission.forwardedAddress = forwarded
      admission.requestID = arrival.requestID.given
    }
    return arrival
  }

  /// Takes the places that can be had before it is known who it is, once; nil: there are such.
  func enter(_ arrival: inout Arrival, nowMs: Int64) -> RefusalReason? {
    if arrival.hasEntered { return nil }
    arrival.hasEntered = true
    if limits.perAddress > 0, let group = arrival.address?.countedGroup,
      !admission(of: &arrival).take(.address(group), upTo: limits.perAddress)
    {
      return .address
    }
    let rate = limits.acceptsPerSecond
    return rate > 0 && !counts.mayAccept(ratePerSecond: rate, nowMs: nowMs) ? .rate : nil
  }

  /// Takes the others, for a connection of `member` to one stream.
  func seat(
    _ arrival: inout Arrival, _ member: String?, _ subscription: Subscription
  ) -> RefusalReason? {
    if let reason = seat(&arrival, Set(member.map { [Array($0.utf8)] } ?? [])) { return reason }
    return seat(&arrival, subscription) ? nil : .stream
  }

  /// The same for one to several: those that are full are refused in `set`, and the connection if there is no
  /// other left.
  func seat(_ arrival: inout Arrival, _ set: inout SubscriptionSet) -> RefusalReason? {
    let members = Set(set.subscriptions.compactMap { $0.context?.member.map { Array($0.utf8) } })
    if let reason = seat(&arrival, members) { return reason }
    var full: [Int: Int] = [:]
    for (number, subscription) in set.subscriptions.enumerated()
    where !subscription.isPattern && !seat(&arrival, subscription) {
      full[number] = HTTPResponse.refusing(.stream).status
    }
    if full.isEmpty { return nil }
    set.refuse(full, for: .stream)
    return set.subscriptions.isEmpty ? .stream : nil
  }

  private func seat(_ arrival: inout Arrival, _ members: Set<[UInt8]>) -> RefusalReason? {
    if limits.perStream > 0 { admission(of: &arrival).countsStreams = true }
    if limits.perMember == 0 { return nil }
    for member in members
    where !admission(of: &arrival).take(.member(member), upTo: limits.perMember) {
      return .member
    }
    return nil
  }

  private func seat(_ arrival: inout Arrival, _ subscription: Subscription) -> Bool {
    guard limits.perStream > 0 else { return true }
    return admission(of: &arrival).take(
      .stream(subscription.store, subscription.storageName), upTo: limits.perStream)
  }

  private func admission(of arrival: inout Arrival) -> Admission {
    if let admission = arrival.admission { return admission }
    let admission = Admission(counts)
    arrival.admission = admission
    return admission
  }

  /// Whether clients of this store are to come back by themselves.
  func refusesSoftly(_ store: StoreKind) -> Bool {
    switch soft {
    case .always: true
    case .native: store != .pgmq
    case .never: false
    }
  }
}

extension HTTPResponse {
  /// What refuses a client temporarily.
  static func refusing(_ reason: RefusalReason) -> HTTPResponse {
    switch reason {
    case .full: return full
    case .draining: return draining
    case .address: return later(429, "Too Many Requests", "too many connections of this address")
    case .member: return later(429, "Too Many Requests", "too many connections of this member")
    case .stream: return later(503, "Service Unavailable", "too many connections to this stream")
    case .rate: return later(503, "Service Unavailable", "too many come at once")
    case .unavailable: return unavailable
    }
  }

  /// The same for a browser, which comes back after `retryMs`: an event stream that ends at once. Others can
  /// tell it by its `retry-after`.
  func softened(retryMs: Int64) -> HTTPResponse {
    HTTPResponse(
      status: 200, reason: "OK",
      fields: HTTPResponse.streamFields + [("retry-after", "\((retryMs + 999) / 1000)")],
      body: Array("retry: \(retryMs)\n\n: ".utf8) + body + [UInt8(ascii: "\n")], text: text)
  }
}
