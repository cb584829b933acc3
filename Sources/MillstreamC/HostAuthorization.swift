// The names are those of millstream.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase
import CMillstream
import Glibc
import Millstream

/// What is behind a `millstream_authorization *`. The texts that were asked for stay for as long as it does.
final class HostAuthorization: @unchecked Sendable {
  let question: AuthorizationQuestion
  unowned let host: Host
  private var texts: [UnsafeMutablePointer<CChar>] = []

  init(_ question: AuthorizationQuestion, _ host: Host) {
    self.question = question
    self.host = host
  }

  deinit {
    for text in texts { free(text) }
  }

  func keep(_ text: String?) -> UnsafePointer<CChar>? {
    guard let text, let copy = strdup(text) else { return nil }
    texts.append(copy)
    return UnsafePointer(copy)
  }
}

@c(millstream_authorize) @implementation
func millstream_authorize(
  _ question: OpaquePointer?, _ permission: millstream_permission,
  _ context: UnsafePointer<millstream_context>?
) -> millstream_result {
  result { () throws(Refusal) in
    if authorizations.isInherited(question) { return MILLSTREAM_FORKED }
    guard let asked = authorizations[question] else { return MILLSTREAM_NOT_FOUND }
    try asked.host.checkCaller()
    let given = try contextOf(context)
    let answer = try permissionOf(permission, given)
    guard authorizations.remove(question) != nil else { return MILLSTREAM_NOT_FOUND }
    return asked.answer(answer, given)
  }
}

extension HostAuthorization {
  fileprivate func answer(_ answer: Permission, _ given: GivenContext?) -> millstream_result {
    if !host.isOnThread {
      given?.handOver(to: host)
      host.perform { [self] in question.answer(answer) }
      return MILLSTREAM_OK
    }
    var isThere = true
    host.perform { [self] in isThere = question.answer(answer) }
    if isThere { given?.handOver(to: host) }
    return isThere ? MILLSTREAM_OK : MILLSTREAM_NOT_FOUND
  }
}

private func permissionOf(
  _ permission: millstream_permission, _ given: GivenContext?
) throws(Refusal) -> Permission {
  switch permission {
  case MILLSTREAM_ALLOW: return .allow(given?.context)
  case MILLSTREAM_FORBID: return .forbid
  case MILLSTREAM_FAULT: return .fault
  case MILLSTREAM_UNAVAILABLE: return .unavailable
  default: throw Refusal(MILLSTREAM_INVALID_ARGUMENT)
  }
}

/// What a host says of a client, copied; nil if it says nothing.
func contextOf(_ context: UnsafePointer<millstream_context>?) throws(Refusal) -> GivenContext? {
  guard let context else { return nil }
  return try GivenContext(context)
}

@c(millstream_authorization_stream) @implementation
func millstream_authorization_stream(_ question: OpaquePointer?) -> UnsafePointer<CChar>? {
  authorizations[question].flatMap { $0.keep($0.question.stream.name) }
}

@c(millstream_authorization_store) @implementation
func millstream_authorization_store(_ question: OpaquePointer?) -> millstream_store_kind {
  authorizations[question]?.question.stream.store.code ?? millstream_store_kind(0)
}

@c(millstream_authorization_header) @implementation
func millstream_authorization_header(
  _ question: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> UnsafePointer<CChar>? {
  guard let name, let asked = authorizations[question] else { return nil }
  return asked.keep(asked.question.request.field(String(cString: name)))
}

@c(millstream_authorization_query) @implementation
func millstream_authorization_query(
  _ question: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> UnsafePointer<CChar>? {
  guard let name, let asked = authorizations[question] else { return nil }
  return asked.keep(asked.question.request.query(String(cString: name)))
}
