// The names are those of millstream.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase
import CMillstream
import Millstream

/// The host's own store, whose functions are C's.
final class HostSource: MessageSource {
  private let store: millstream_store
  weak var host: Host?

  init(_ store: millstream_store) {
    self.store = store
  }

  func position(of stream: String, _ question: PositionQuestion) {
    guard let host, let position = store.position else { return }
    let handle = questions.add(HostQuestion(.position(question), host))
    host.callOut { position(store.user, handle, stream) }
  }

  func messages(of stream: String, after: Int64, limit: Int, _ question: ReadQuestion) {
    guard let host, let read = store.read else { return }
    let handle = questions.add(HostQuestion(.read(question, after: after, limit: limit), host))
    host.callOut { read(store.user, handle, stream, after, limit) }
  }
}

/// What is behind a `millstream_question *`. The messages are collected where the host is, and given to
/// the instance all at once.
final class HostQuestion: @unchecked Sendable {
  enum Asked {
    case position(PositionQuestion)
    case read(ReadQuestion, after: Int64, limit: Int)
  }

  let asked: Asked
  unowned let host: Host
  private var messages: [StreamMessage] = []

  init(_ asked: Asked, _ host: Host) {
    self.asked = asked
    self.host = host
  }

  func add(_ message: StreamMessage) -> Bool {
    guard case .read(_, let after, let limit) = asked, messages.count < limit,
      let id = message.id, id > (messages.last?.id ?? after)
    else { return false }
    messages.append(message)
    return true
  }

  func answer(_ body: @escaping (Asked, [StreamMessage]) -> Void) {
    host.perform { [self] in body(asked, messages) }
  }
}

/// Answers a question with `body`, which is asked first whether it can; frees it if so.
private func answer(
  _ question: OpaquePointer?, canAnswer: (HostQuestion.Asked) -> Bool,
  _ body: @escaping (HostQuestion.Asked, [StreamMessage]) -> Void
) -> millstream_result {
  result { () throws(Refusal) in
    let asked = try waiting(question)
    guard canAnswer(asked.asked) else { return MILLSTREAM_INVALID_ARGUMENT }
    guard questions.remove(question) != nil else { return MILLSTREAM_NOT_FOUND }
    asked.answer(body)
    return MILLSTREAM_OK
  }
}

/// The question behind a handle, if it can be answered from here.
private func waiting(_ question: OpaquePointer?) throws(Refusal) -> HostQuestion {
  if questions.isInherited(question) { throw Refusal(MILLSTREAM_FORKED) }
  guard let asked = questions[question] else { throw Refusal(MILLSTREAM_NOT_FOUND) }
  try asked.host.checkCaller()
  return asked
}

private func isPosition(_ asked: HostQuestion.Asked) -> Bool {
  if case .position = asked { true } else { false }
}

@c(millstream_answer_position) @implementation
func millstream_answer_position(
  _ question: OpaquePointer?, _ epoch: UInt32, _ last: Int64
) -> millstream_result {
  answer(question, canAnswer: { isPosition($0) && last >= 0 }) { asked, _ in
    guard case .position(let question) = asked else { return }
    question.answer(last: last, epoch: epoch == 0 ? nil : epoch)
  }
}

@c(millstream_answer_absent) @implementation
func millstream_answer_absent(_ question: OpaquePointer?) -> millstream_result {
  answer(question, canAnswer: isPosition) { asked, _ in
    if case .position(let question) = asked { question.absent() }
  }
}

@c(millstream_answer_message) @implementation
func millstream_answer_message(
  _ question: OpaquePointer?, _ message: UnsafePointer<millstream_message>?
) -> millstream_result {
  result { () throws(Refusal) in
    let asked = try waiting(question)
    guard let message, let given = read(message, size: message.pointee.size),
      let copy = StreamMessage(given), asked.add(copy)
    else { return MILLSTREAM_INVALID_ARGUMENT }
    return MILLSTREAM_OK
  }
}

@c(millstream_answer_end) @implementation
func millstream_answer_end(
  _ question: OpaquePointer?, _ hasBefore: Bool
) -> millstream_result {
  answer(question, canAnswer: { !isPosition($0) }) { asked, messages in
    guard case .read(let question, _, _) = asked else { return }
    for message in messages { _ = question.add(message) }
    question.end(hasBefore: hasBefore)
  }
}

@c(millstream_answer_failure) @implementation
func millstream_answer_failure(_ question: OpaquePointer?) -> millstream_result {
  answer(question, canAnswer: { _ in true }) { asked, _ in
    switch asked {
    case .position(let question): question.failed()
    case .read(let question, _, _): question.failed()
    }
  }
}
