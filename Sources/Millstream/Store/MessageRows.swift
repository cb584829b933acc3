import CLibPQ

/// Messages that a store has read, in order of their ids. What a message borrows is valid for as long as
/// they are.
protocol MessageRows {
  var count: Int { get }
  func message(_ index: Int) -> Message
  /// Whether there is a message at or below the id after which was read, as the store says.
  var hasBefore: Bool { get }
}

extension MessageRows {
  func id(_ index: Int) -> Int64 { message(index).id ?? 0 }
}

/// The rows of a query that `PostgresStore.messagesSQL` describes.
struct ResultRows: MessageRows {
  private let result: OpaquePointer
  let count: Int

  /// A row of nulls is no message.
  init(_ result: OpaquePointer) {
    self.result = result
    let rowCount = PQntuples(result)
    count = rowCount > 0 && Row(result, 0).integer(0) == nil ? 0 : Int(rowCount)
  }

  /// A row without a payload is an empty message: what follows it must not wait for ever.
  func message(_ index: Int) -> Message {
    let row = Row(result, Int32(index))
    return Message(
      id: row.integer(0) ?? 0, data: row.bytes(1) ?? UnsafeRawBufferPointer(start: nil, count: 0),
      event: row.bytes(2), visibleTo: row.bytes(3), exclude: row.bytes(4))
  }

  var hasBefore: Bool { PQnfields(result) > 6 && PQntuples(result) > 0 && Row(result, 0).bool(6) }
}

/// Messages with copies of their bytes.
final class CollectedRows: MessageRows {
  private var messages: [Message] = []
  private var copies: [UnsafeMutableRawBufferPointer] = []
  var hasBefore = false

  deinit {
    for copy in copies { copy.deallocate() }
  }

  var count: Int { messages.count }

  func message(_ index: Int) -> Message { messages[index] }

  func append(_ message: Message) {
    var message = message
    message.data = copy(message.data)
    message.event = message.event.map(copy)
    message.visibleTo = message.visibleTo.map(copy)
    message.exclude = message.exclude.map(copy)
    messages.append(message)
  }

  private func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    copy.copyMemory(from: bytes)
    copies.append(copy)
    return UnsafeRawBufferPointer(copy)
  }
}
