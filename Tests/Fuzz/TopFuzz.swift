@testable import Millstream

/// Any bytes, as what a server says of itself: what becomes of them on a terminal is text, and fits.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTop(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  var bytes = Array(UnsafeRawBufferPointer(start: data, count: size))[...]
  let columns = Int(bytes.popFirst() ?? 80)
  let rows = bytes.popFirst().map { Int($0) }
  var report = StatusReport()
  for type in ["history", "snapshot"] {
    let end = bytes.firstIndex(of: 0) ?? bytes.endIndex
    let text = String(decoding: bytes[..<end], as: UTF8.self)
    _ = report.take(EventStreamParser.Event(type: type, data: text))
    bytes = bytes[end...].dropFirst()
  }
  var screen = TopScreen(columns: columns, rows: rows, hasColors: false, server: "here:1")
  check(screen.draw(report, problem: String(decoding: bytes, as: UTF8.self)), columns, rows)
  return 0
}

private func check(_ lines: [String], _ columns: Int, _ rows: Int?) {
  precondition(lines.count <= rows ?? .max, "too many lines")
  for line in lines {
    precondition(line.count <= max(columns, 20), "too long a line")
    precondition(PrintableText.line(line) == line, "a terminal is told what to do")
  }
}
