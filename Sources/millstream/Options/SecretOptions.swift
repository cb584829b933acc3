import ArgumentParser
import Glibc
import Millstream

/// The secrets of signed names.
struct SecretOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A file of secrets, one a line: the first signs, all verify. (default: $MILLSTREAM_SECRET)",
      discussion: "A line 'hex:...' or 'base64:...' gives raw bytes.", valueName: "path"))
  var secretFile: String?

  static let environmentOptions: [EnvironmentOption] = [.value("secret-file")]

  /// - Throws: `ValidationError` if the file cannot be read or a line of it is not valid.
  func load() throws -> [[UInt8]] {
    do {
      if let secretFile {
        return try SignedNames.secrets(fromLines: try FileReader.contents(of: secretFile))
      }
      guard let secret = getenv("MILLSTREAM_SECRET") else { return [] }
      return try SignedNames.secrets(fromLines: Array(String(cString: secret).utf8))
    } catch {
      throw ValidationError("\(error)")
    }
  }
}

/// Reads whole files, at the start of a command only.
enum FileReader {
  /// - Throws: `ValidationError` that says why not.
  static func contents(of path: String) throws(ValidationError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw ValidationError("cannot read \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    return try contents(of: descriptor, named: path)
  }

  /// Everything up to the end of the file.
  static func contents(of descriptor: Int32, named name: String) throws(ValidationError) -> [UInt8]
  {
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count == 0 { return contents }
      if count > 0 {
        contents.append(contentsOf: buffer[..<count])
      } else if errno != EINTR {
        throw ValidationError("cannot read \(name): \(String(cString: strerror(errno)))")
      }
    }
  }
}
