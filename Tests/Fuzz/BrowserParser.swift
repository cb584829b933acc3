/// One event as a browser dispatches it.
struct BrowserEvent: Equatable {
  var type: [UInt8]
  var data: [UInt8]
  var lastEventID: [UInt8]
}

/// What a browser makes of an event stream: "9.2.6 Interpreting an event stream" of the HTML standard,
/// step by step, on bytes. It shares nothing with what it checks.
struct BrowserParser {
  private(set) var events: [BrowserEvent] = []
  private var data: [UInt8] = []
  private var type: [UInt8] = []
  private var lastEventID: [UInt8] = []

  init(_ stream: [UInt8]) {
    var line: [UInt8] = []
    var wasCarriageReturn = false
    for byte in stream {
      defer { wasCarriageReturn = byte == 13 }
      if byte == 10 && wasCarriageReturn { continue }
      if byte != 10 && byte != 13 {
        line.append(byte)
        continue
      }
      take(line)
      line = []
    }
    // What is not ended by a blank line is dropped.
  }

  private mutating func take(_ line: [UInt8]) {
    if line.isEmpty { return dispatch() }
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return field(line, []) }
    if colon == 0 { return }
    var value = line[(colon + 1)...]
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    field(Array(line[..<colon]), Array(value))
  }

  private mutating func field(_ name: [UInt8], _ value: [UInt8]) {
    switch String(decoding: name, as: UTF8.self) {
    case "event": type = value
    case "data": data += value + [10]
    case "id" where !value.contains(0): lastEventID = value
    default: break
    }
  }

  private mutating func dispatch() {
    defer {
      data = []
      type = []
    }
    if data.isEmpty { return }
    let name = type.isEmpty ? Array("message".utf8) : type
    events.append(BrowserEvent(type: name, data: Array(data.dropLast()), lastEventID: lastEventID))
  }
}

/// What is promised of a message's frame, said in another way than it is made.
enum Promise {
  /// Line ends become LF, whichever they were.
  static func data(_ data: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    for (index, byte) in data.enumerated() {
      let isSecondHalf = byte == 10 && index > 0 && data[index - 1] == 13
      if !isSecondHalf { result.append(byte == 13 ? 10 : byte) }
    }
    return result
  }

  /// A name that is missing, blank, or broken over lines is `turbo-stream`.
  static func type(_ name: [UInt8]?) -> [UInt8] {
    let fallback = Array("turbo-stream".utf8)
    guard let name, !name.contains(10), !name.contains(13) else { return fallback }
    return name.allSatisfy { $0 == 32 || $0 == 9 } ? fallback : name
  }

  static func id(_ id: Int64, _ epoch: UInt32?) -> [UInt8] {
    Array((epoch.map { "\(id)-" + String($0, radix: 16) } ?? "\(id)").utf8)
  }
}

/// A frame of a message whose parts are bytes that something else owns.
func frame(id: Int64?, event: [UInt8]?, data: [UInt8], epoch: UInt32?) -> [UInt8] {
  data.withUnsafeBytes { data in
    (event ?? []).withUnsafeBytes { name in
      let message = Message(id: id, data: data, event: event == nil ? nil : name)
      var counter = FrameWriter(to: nil)
      counter.broadcast(message, epoch: epoch)
      return [UInt8](unsafeUninitializedCapacity: counter.count) { buffer, count in
        var writer = FrameWriter(to: UnsafeMutableRawPointer(buffer.baseAddress!))
        writer.broadcast(message, epoch: epoch)
        precondition(writer.count == counter.count, "it counts otherwise than it writes")
        count = writer.count
      }
    }
  }
}
