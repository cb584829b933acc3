import CZlib

/// The `gzip` coding of HTTP (RFC 9110, 8.4.1.3).
enum Gzip {
  /// The bytes packed; nil: there is no memory for that.
  static func packed(_ bytes: [UInt8]) -> [UInt8]? {
    var stream = z_stream()
    guard ms_gzip_init(&stream) == Z_OK else { return nil }
    defer { deflateEnd(&stream) }
    var input = bytes
    let bound = Int(deflateBound(&stream, uLong(bytes.count)))
    let packed = input.withUnsafeMutableBufferPointer { input in
      [UInt8](unsafeUninitializedCapacity: bound) { output, count in
        stream.next_in = input.baseAddress
        stream.avail_in = uInt(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = uInt(bound)
        count = deflate(&stream, Z_FINISH) == Z_STREAM_END ? Int(stream.total_out) : 0
      }
    }
    return packed.isEmpty ? nil : packed
  }

  /// Whether a client that sent these `accept-encoding` fields takes it (RFC 9110, 12.5.3).
  static func isAccepted(_ fields: [String]) -> Bool {
    fields.flatMap { $0.split(separator: ",") }.contains { coding in
      let parts = coding.lowercased().filter { $0 != " " && $0 != "\t" }.split(separator: ";")
      guard parts.first == "gzip" else { return false }
      return !parts.dropFirst().contains { $0.hasPrefix("q=") && Double($0.dropFirst(2)) ?? 0 <= 0 }
    }
  }
}
