import Logging
import Millstream

/// Asks the application over HTTP who may listen: so many questions at once, the rest in a queue.
final class ApplicationAuthorizer {
  struct Settings: Sendable {
    var url: String
    /// Names of header fields that are sent on, beside `Cookie` and `Authorization`.
    var fields: [String] = []
    var timeoutMs: Int64 = 2_000
    var concurrency = 64
    var cacheMs: Int64 = 0
  }

  private struct Waiting {
    var question: AuthorizationQuestion
    var fields: [String]
    var key: AnswerCache.Key?
    var deadlineMs: Int64
  }

  private let settings: Settings
  private let client: HTTPClient
  private let failed: () -> Void
  private let logger: Logger
  private let clock = Clock.system
  private var waiting: [Waiting] = []
  private var askedCount = 0
  private var cache: AnswerCache
  private var nextLineMs: Int64 = 0

  /// How many wait beyond those that are asked.
  static let maximumWaiting = 1024
  /// One line in the log for so long, however many fail.
  private static let linePauseMs: Int64 = 10_000

  /// `failed` is called for each question that the application has not answered.
  init(_ settings: Settings, client: HTTPClient, logger: Logger, failed: @escaping () -> Void) {
    self.settings = settings
    self.client = client
    self.logger = logger
    self.failed = failed
    cache = AnswerCache(timeMs: settings.cacheMs)
  }

  /// Answers the question once the application has.
  func ask(_ question: AuthorizationQuestion) {
    let fields = self.fields(of: question)
    let key = cache.key(of: fields)
    if let key, let permission = cache.answer(to: key, nowMs: clock.monotonicMs) {
      question.answer(permission)
      return
    }
    let asked = Waiting(
      question: question, fields: fields, key: key,
      deadlineMs: clock.monotonicMs + settings.timeoutMs)
    if askedCount < settings.concurrency { return send(asked) }
    guard waiting.count < ApplicationAuthorizer.maximumWaiting else {
      return fail(asked, "too many wait for an answer")
    }
    waiting.append(asked)
  }

  // MARK: What is sent

  private func fields(of question: AuthorizationQuestion) -> [String] {
    let request = question.request
    var fields = [
      "X-Millstream-Stream: \(question.streamField)",
      "X-Millstream-Store: \(question.stream.store)",
    ]
    func add(_ name: String, _ values: [String], _ separator: String = ", ") {
      let value = values.joined(separator: separator)
      if !value.isEmpty { fields.append("\(name): \(value)") }
    }
    add("Cookie", request.fields("Cookie"), "; ")
    add("Authorization", request.fields("Authorization"))
    for name in settings.fields { add(name, request.fields(name)) }
    let address = request.clientAddress.map { [$0] } ?? []
    add("X-Forwarded-For", request.fields("X-Forwarded-For") + address)
    return fields
  }

  private func send(_ asked: Waiting) {
    let left = asked.deadlineMs - clock.monotonicMs
    guard left > 0 else { return fail(asked, "no answer in time") }
    askedCount += 1
    let request = HTTPRequest(
      url: settings.url, fields: asked.fields, timeoutMs: left,
      maximumBytes: AuthorizationAnswer.maximumBytes)
    client.get(request) { [unowned self] outcome in
      askedCount -= 1
      answered(asked, outcome)
      sendNext()
    }
  }

  /// Whoever has gone meanwhile is not asked about.
  private func sendNext() {
    while askedCount < settings.concurrency, !waiting.isEmpty {
      let next = waiting.removeFirst()
      if next.question.isOpen { send(next) }
    }
  }

  // MARK: What comes back

  private func answered(_ asked: Waiting, _ outcome: HTTPOutcome) {
    switch outcome {
    case .failure(let reason): fail(asked, reason)
    case .response(let status, let contentType, let body):
      let permission = AuthorizationAnswer.permission(
        status: status, contentType: contentType, body: body, at: clock.unixSeconds)
      guard let permission else {
        return fail(asked, (200...299).contains(status) ? "malformed JSON" : "status \(status)")
      }
      if let key = asked.key { cache.keep(permission, for: key, nowMs: clock.monotonicMs) }
      asked.question.answer(permission)
    }
  }

  private func fail(_ asked: Waiting, _ reason: String) {
    failed()
    if clock.monotonicMs >= nextLineMs {
      nextLineMs = clock.monotonicMs + ApplicationAuthorizer.linePauseMs
      logger.warning(
        "the application does not say who may listen", metadata: ["reason": "\(reason)"])
    }
    asked.question.answer(.unavailable)
  }
}
