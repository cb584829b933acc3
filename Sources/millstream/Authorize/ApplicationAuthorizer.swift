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

  private var settings: Settings
  private let client: HTTPClient
  private let failed: () -> Void
  private let logger: Logger
  private let clock = Clock.system
  private var waiting: [Waiting] = []
  private var askedCount = 0
  private var cache: AnswerCache
  private var nextLineMs: Int64 = 0

  private static let requestIDField = "X-Request-Id"
  /// How many wait beyond those that are asked.
  static let maximumWaiting = 1024
  /// One line in the log for so long, however many fail.
  private static let linePauseMs: Int64 = 10_000

  /// `failed` is called for each question that the application has not answered.
  init(_ settings: Settings, client: HTTPClient, logger: Logger, failed: @escaping () -> Void) {
    self.settings = settings
    // That one is sent in any case, and is another with each request, which would be in no cache.
    self.settings.fields.removeAll {
      $0.lowercased() == ApplicationAuthorizer.requestIDField.lowercased()
    }
    self.client = client
    self.logger = logger
    self.failed = failed
    cache = AnswerCache(timeMs: settings.cacheMs)
  }

  /// Answers the question once the application has.
  func ask(_ question: AuthorizationQuestion) {
    var fields = self.fields(of: question)
    let key = cache.key(of: fields)
    fields.append("\(ApplicationAuthorizer.requestIDField): \(question.request.id)")
    let kept = key.flatMap {
      cache.answer(to: $0, nowMs: clock.monotonicMs, unixSeconds: clock.unixSeconds)
    }
    if let kept {
      question.answer(kept)
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
    // Who knows nothing of patterns shall find no name, rather than one with a star at its end.
    var fields = [
      "X-Millstream-\(question.isPattern ? "Pattern" : "Stream"): \(question.streamField)",
      "X-Millstream-Store: \(question.stream.store)",
    ]
    func add(_ name: String, _ values: [String], _ separator: String = ", ") {
      let value = values.joined(separator: separator)
      if !value.isEmpty { fields.append("\(name): \(value)") }
    }
    add("Cookie", request.fields("Cookie"), "; ")
    add("Authorization", request.fields("Authorization"))
    for name in settings.fields { add(name, request.fields(name)) }
    // What the client has made up about itself is none of the application's.
    add("X-Forwarded-For", request.clientAddress.map { [$0] } ?? [])
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
    case .response(let status, let contentType, let body, let length):
      do throws(AuthorizationAnswer.Fault) {
        let permission = try AuthorizationAnswer.permission(
          status: status, contentType: contentType, body: body, length: length,
          at: clock.unixSeconds)
        if let key = asked.key, !asked.question.isOvertaken(permission) {
          cache.keep(permission, for: key, nowMs: clock.monotonicMs)
        }
        asked.question.answer(permission)
      } catch {
        fail(asked, "\(error)")
      }
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
