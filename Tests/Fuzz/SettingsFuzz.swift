@testable import Millstream

/// Any bytes, as a file of options: it is read or refused with one of its lines, and what was read is read
/// again from what it is written as.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSettings(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  do {
    let settings = try TOMLParser.settings(in: bytes)
    let written = settings.map { "\(quoted($0.name)) = \(text(of: $0.value))\n" }.joined()
    let again = try? TOMLParser.settings(in: Array(written.utf8))
    precondition(again?.map(\.name) == settings.map(\.name), "names have changed")
    precondition(again?.map(\.value) == settings.map(\.value), "values have changed")
  } catch {
    let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
    precondition((1...lines).contains(error.line), "an error in no line")
  }
  return 0
}

private func text(of value: TOMLValue) -> String {
  switch value {
  case .text(let text): quoted(text)
  case .integer(let number): "\(number)"
  case .boolean(let isTrue): "\(isTrue)"
  case .list(let values): "[" + values.map { text(of: $0) }.joined(separator: ",\n") + "]"
  }
}

private func quoted(_ text: String) -> String {
  let escaped = text.unicodeScalars.map { scalar in
    let digits = String(scalar.value, radix: 16)
    return "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
  }
  return "\"" + escaped.joined() + "\""
}
