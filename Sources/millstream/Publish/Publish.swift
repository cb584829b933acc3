import ArgumentParser
import Glibc
import Millstream

struct Publish: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Publishes one message to a stream.",
    discussion: """
      The data is what browsers get: valid UTF-8 without NUL. With --store pgmq the message goes into \
      the queue that pgbus would use, which is made if it is not there.

      Examples:
        millstream publish chat 'Hello'
        render-page | millstream publish chat --event reload
        millstream publish chat '<p>Hi</p>' --store pgmq
      """)

  @OptionGroup var config: ConfigOption
  @OptionGroup var database: DatabaseOption

  @Argument(help: "The name of the stream.")
  var name: String

  @Argument(help: "The message; without it, or with '-', standard input to its end.")
  var data: String?

  @Option(
    help: ArgumentHelp("The type of the event; 'turbo-stream' if not given.", valueName: "name"))
  var event: String?

  @Option(
    help: ArgumentHelp("Only for connections whose context has this label.", valueName: "label"))
  var visibleTo: String?

  @Option(help: ArgumentHelp("Not for the connection with this id.", valueName: "id"))
  var exclude: String?

  @Flag(help: "Only for who is connected now: not stored.")
  var ephemeral = false

  @Option(help: "Where to publish: native or pgmq.")
  var store = StoreArgument.native

  @Option(help: ArgumentHelp("What the names of pgbus's queues begin with.", valueName: "name"))
  var queuePrefix = "pgbus"

  static let environmentOptions: [EnvironmentOption] =
    ConfigOption.environmentOptions + DatabaseOption.environmentOptions + [
      .value("event"), .value("visible-to"), .value("exclude"), .flag("ephemeral"),
      .value("store", ignoring: "both"), .value("queue-prefix"),
    ]

  func validate() throws {
    try StreamArgument.check(name)
    if let event { try BroadcastData.checkEvent(event) }
    if store == .pgmq { _ = try QueueArgument.queue(of: name, prefix: queuePrefix) }
  }

  func run() throws {
    let broadcast = Broadcast(
      stream: name, data: try BroadcastData.text(try bytes()), event: event, visibleTo: visibleTo,
      exclude: exclude)
    let session = try database.connect()
    switch store {
    case .native:
      try NativePublisher(session: session).publish(broadcast, isEphemeral: ephemeral)
    case .pgmq:
      let queue = try QueueArgument.queue(of: name, prefix: queuePrefix)
      let publisher = PGMQPublisher(session: session, queue: queue)
      try ephemeral ? publisher.publishEphemeral(broadcast) : publisher.publish(broadcast)
    }
  }

  private func bytes() throws -> [UInt8] {
    guard let data, data != "-" else {
      return try FileReader.contents(of: STDIN_FILENO, named: "standard input")
    }
    return try ArgumentBytes.original(of: data)
  }
}

/// Which of the stores a command works on that works on one only.
enum StoreArgument: String, ExpressibleByArgument, CaseIterable { case native, pgmq }

/// Arguments as they were given.
enum ArgumentBytes {
  /// Swift has replaced bytes that are no UTF-8 before the parser saw them: here are the original
  /// ones of the argument that became `text`, so that what is wrong with them can be said.
  static func original(of text: String) throws -> [UInt8] {
    guard text.unicodeScalars.contains("\u{fffd}") else { return Array(text.utf8) }
    for pointer in UnsafeBufferPointer(start: CommandLine.unsafeArgv, count: Int(CommandLine.argc))
    {
      guard let pointer, String(cString: pointer) == text else { continue }
      return UnsafeBufferPointer(start: pointer, count: strlen(pointer)).map {
        UInt8(bitPattern: $0)
      }
    }
    return Array(text.utf8)
  }
}
