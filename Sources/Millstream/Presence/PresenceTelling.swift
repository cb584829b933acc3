/// The lists for those who have come.
extension Presence {
  func read(_ questions: [PresenceLists.Question], _ store: StoreKind) {
    var answered: Set<Int> = []
    let names = PostgresStore.arrayLiteral(questions.map(\.stream.name))
    let took = { [weak self] (row: Row) in
      guard let number = row.integer(0), let present = row.integer(1), let shown = row.integer(2),
        let json = row.bytes(3)
      else { return }
      // One name may be asked for twice: of a stream that is gone, and of the one that came after it.
      answered.insert(Int(number) - 1)
      self?.tell(questions[Int(number) - 1], Presence.list(json, present: present, shown: shown))
    }
    submit(PresenceSQL(store).list, [names], store, took: took) { [weak self] _ in
      for place in questions.indices where !answered.contains(place) {
        self?.lists.failed(questions[place])
      }
    }
  }

  private static func list(
    _ members: UnsafeRawBufferPointer, present: Int64, shown: Int64
  ) -> [UInt8] {
    var data = Array(#"{"type":"list","members":["#.utf8)
    data += members
    data += Array(#"],"present":\#(present)"#.utf8)
    if shown < present { data += Array(#","truncated":true"#.utf8) }
    data.append(UInt8(ascii: "}"))
    return FrameWriter.frame(
      of: StreamMessage(data: data, event: event, visibleTo: nil, exclude: nil))
  }

  private func tell(_ question: PresenceLists.Question, _ frame: [UInt8]) {
    let (seats, heard) = lists.answered(question)
    for seat in seats {
      guard let connection = writer.table.connection(Int(seat.slot)),
        connection.pointee.id == seat.id, places[seat.slot]?.stream == question.stream
      else { continue }
      writer.sendOwn([frame] + heard, to: connection)
    }
  }
}
