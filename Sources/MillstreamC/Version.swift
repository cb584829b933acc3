// The names are those of millstream.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase
import CMillstream
import Millstream

/// The same as `Version.text`; a test compares them.
private let versionText: StaticString = "0.1.0"

@c(millstream_version) @implementation
func millstream_version() -> UnsafePointer<CChar>? {
  cString(versionText)
}

@c(millstream_version_number) @implementation
func millstream_version_number() -> Int32 {
  MILLSTREAM_VERSION_MAJOR * 1_000_000 + MILLSTREAM_VERSION_MINOR * 1_000
    + MILLSTREAM_VERSION_PATCH
}

@c(millstream_result_text) @implementation
func millstream_result_text(_ result: millstream_result) -> UnsafePointer<CChar>? {
  let text: StaticString =
    switch result {
    case MILLSTREAM_OK: "it went well"
    case MILLSTREAM_INVALID_ARGUMENT: "an argument is missing or out of range"
    case MILLSTREAM_INVALID_TEXT: "a name, address or other text is not in order"
    case MILLSTREAM_INVALID_CURSOR: "the cursor is not an id"
    case MILLSTREAM_NOT_SIGNED: "the name was not signed with a known secret, or has expired"
    case MILLSTREAM_BAD_DESCRIPTOR: "the descriptor is not a connected socket or a pipe"
    case MILLSTREAM_ALREADY_TAKEN: "the descriptor was handed over already"
    case MILLSTREAM_FULL: "there are as many connections as there may be"
    case MILLSTREAM_NOT_STARTED: "the instance was not started"
    case MILLSTREAM_STOPPED: "the instance is shutting down or has shut down"
    case MILLSTREAM_NOT_FOUND: "there is no such thing, or not any more"
    case MILLSTREAM_BUSY: "it cannot be done from within a callback"
    case MILLSTREAM_WRONG_THREAD: "the instance belongs to another thread"
    case MILLSTREAM_FORKED: "the instance belongs to the parent process"
    case MILLSTREAM_SYSTEM_ERROR: "the system refused; errno says why"
    case MILLSTREAM_TOO_LATE: "what lets the client in has expired"
    default: "unknown result"
    }
  return cString(text)
}

/// A literal ends with a zero byte and stays for as long as the library is loaded.
private func cString(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
