@testable import Millstream

/// Any bytes: a stream's name to be made a queue's, and a pattern with a name behind its first zero.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNames(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  checkQueue(String(decoding: bytes, as: UTF8.self))
  checkPattern(bytes)
  if let secrets = try? SignedNames.secrets(fromLines: bytes) {
    precondition(!secrets.contains([]), "an empty secret")
  }
  return 0
}

private func checkQueue(_ stream: String) {
  guard let queue = QueueName(stream: stream, prefix: "pgbus") else { return }
  precondition((1...QueueName.maximumLength).contains(queue.name.utf8.count))
  precondition(queue.channel.utf8.count <= 63 && queue.channelAsGiven?.utf8.count ?? 0 <= 63)
  for byte in queue.name.utf8 {
    precondition(ASCII.isLetter(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "_"))
  }
}

private func checkPattern(_ bytes: [UInt8]) {
  guard bytes.count < 200, let zero = bytes.firstIndex(of: 0) else { return }
  guard let pattern = String(validating: bytes[..<zero], as: UTF8.self) else { return }
  let name = Array(bytes[(zero + 1)...])
  let expected = slowMatch(Array(bytes[..<zero]), name)
  precondition(StreamPattern(pattern).matches(name) == expected, "the pattern is read otherwise")
}

/// The textbook's table: whether each beginning of the pattern fits each beginning of the name.
private func slowMatch(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
  var fits = [true] + [Bool](repeating: false, count: name.count)
  for byte in pattern {
    var next = [Bool](repeating: false, count: name.count + 1)
    for length in 0...name.count {
      if byte == UInt8(ascii: "*") {
        next[length] = fits[length] || (length > 0 && next[length - 1])
      } else {
        next[length] = length > 0 && fits[length - 1] && name[length - 1] == byte
      }
    }
    fits = next
  }
  return fits[name.count]
}
