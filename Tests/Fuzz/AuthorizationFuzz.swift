@testable import Millstream

private let now: Int64 = 1_769_860_800

/// Any bytes, as what an application answers when it is asked whether a client may listen: behind the first
/// line, which is the type, and as a whole.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzAuthorization(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  let end = bytes.firstIndex(of: ASCII.lineFeed) ?? bytes.endIndex
  let type = String(decoding: bytes[..<end], as: UTF8.self)
  check(permission(200, type, Array(bytes[end...].dropFirst())))
  checkJSON(bytes)
  for status in [401, 403] {
    guard case .forbid = permission(status, type, bytes) else {
      preconditionFailure("who was refused is let in")
    }
  }
  precondition(permission(500, type, bytes) == nil, "a fault is an answer")
  return 0
}

private func permission(_ status: Int, _ type: String, _ body: [UInt8]) -> Permission? {
  try? AuthorizationAnswer.permission(
    status: status, contentType: type, body: body, length: body.count, at: now)
}

private func checkJSON(_ body: [UInt8]) {
  let permission = permission(200, "application/json", body)
  check(permission)
  let isObject = body.withUnsafeBytes { JSONScanner.value(of: $0)?.kind == .object }
  precondition(isObject || body.isEmpty || permission == nil, "what is no object was taken for one")
}

private func check(_ permission: Permission?) {
  guard case .allow(let context?) = permission else { return }
  precondition(context.expiresAt ?? .max > now, "what is over was let in")
  precondition(context.labels.count <= TokenClaims.maximumLabels)
  precondition(context.member?.utf8.count ?? 0 <= 512)
  guard var metadata = context.metadata else { return }
  precondition(metadata.utf8.count <= MemberMetadata.maximumBytes)
  let kind = metadata.withUTF8 { JSONScanner.value(of: UnsafeRawBufferPointer($0))?.kind }
  precondition(kind == .object, "metadata that is no object")
}
