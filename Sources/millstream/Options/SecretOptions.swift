import ArgumentParser
import Glibc
import Millstream

/// The secrets of signed names.
struct SecretOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A file of secrets, one a line: the first signs, all verify. (default: $MILLSTREAM_SECRET)",
      discussion:
        "A line 'hex:...' or 'base64:...' gives raw bytes; 'secret_key_base:...' is Rails' own, from which "
        + "Turbo's key is derived.", valueName: "path"),
    completion: .file())
  var secretFile: String?

  static let environmentOptions: [EnvironmentOption] = [.value("secret-file")]

  /// - Throws: `ValidationError` if the file cannot be read or a line of it is not valid.
  func load() throws -> [[UInt8]] {
    if let secretFile { return try SecretOptions.load(secretFile) }
    guard let secret = getenv("MILLSTREAM_SECRET") else { return [] }
    return try SecretOptions.secrets(
      in: Array(String(cString: secret).utf8), from: "MILLSTREAM_SECRET")
  }

  /// - Throws: `ValidationError` that names the file.
  static func load(_ path: String) throws(ValidationError) -> [[UInt8]] {
    try secrets(in: try FileReader.contents(of: path), from: path)
  }

  private static func secrets(
    in text: [UInt8], from source: String
  ) throws(ValidationError) -> [[UInt8]] {
    do {
      return try SignedNames.secrets(fromLines: text)
    } catch {
      throw ValidationError("\(source): \(error)")
    }
  }
}

/// Reads whole files: at the start of a command, and on the thread of a reload.
enum FileReader {
  /// Far above what secrets, keys and options need: a device may have no end.
  private static let largestBytes = 1024 * 1024
  /// A FIFO or a device may never say anything.
  private static let patienceMs: Int32 = 2_000

  /// - Throws: `ValidationError` that says why not.
  static func contents(
    of path: String, maximumBytes: Int = largestBytes
  ) throws(ValidationError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw ValidationError("cannot read \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    return try contents(
      of: descriptor, named: path, maximumBytes: maximumBytes, patienceMs: patienceMs)
  }

  /// Everything up to the end of the file. `patienceMs`: how long nothing may come; -1: as long as it likes.
  static func contents(
    of descriptor: Int32, named name: String, maximumBytes: Int = .max, patienceMs: Int32 = -1
  ) throws(ValidationError) -> [UInt8] {
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&wanted, 1, patienceMs) != 0 else {
        throw ValidationError("cannot read \(name): nothing comes from it")
      }
      let count = read(descriptor, &buffer, buffer.count)
      if count == 0 { return contents }
      if count > 0 {
        contents.append(contentsOf: buffer[..<count])
        guard contents.count <= maximumBytes else {
          throw ValidationError("\(name) has more than \(maximumBytes) bytes")
        }
      } else if errno != EINTR && errno != EAGAIN {
        throw ValidationError("cannot read \(name): \(String(cString: strerror(errno)))")
      }
    }
  }
}
