@testable import Millstream

/// Transactions that write controls and end in any order, sessions that are lost, and a reader that looks now
/// and then, as the bytes say. What has committed is acted on, once.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzControls(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  var table = Controls()
  for byte in UnsafeRawBufferPointer(start: data, count: min(size, 200)) { table.step(byte) }
  table.settle()
  precondition(table.acted == table.committedIDs, "one was missed")
  return 0
}

private struct Controls {
  private struct Row {
    let transaction: Int
    let id: Int64
  }

  private var reading = ControlReading(nowMs: 0)
  private var open: [Int] = []
  private var nextTransaction = 8
  private var nextID: Int64 = 1
  /// Also of those that are open.
  private var rows: [Row] = []
  private(set) var acted: Set<Int64> = []

  var committedIDs: Set<Int64> { Set(committed.map(\.id)) }
  private var committed: [Row] { rows.filter { !open.contains($0.transaction) } }

  mutating func step(_ byte: UInt8) {
    let choice = Int(byte) >> 3
    switch byte & 7 {
    case 0, 1: begin()
    case 2: write(1 + choice % 4)
    // So that a look takes several pages.
    case 3: write(ControlReading.pageRows / 2 + choice)
    case 4: if !open.isEmpty { open.remove(at: choice % open.count) }
    case 5: rollBack(choice)
    case 6: ask(isLost: choice % 4 == 3)
    default: reading.wanted()
    }
  }

  /// Everything ends, and is looked at.
  mutating func settle() {
    open = []
    reading.wanted()
    while reading.hasQuestion { ask(isLost: false) }
  }

  private mutating func begin() {
    guard open.count < 8 else { return }
    open.append(nextTransaction)
    nextTransaction += 1
  }

  private mutating func write(_ count: Int) {
    guard rows.count < 5 * ControlReading.pageRows else { return }
    if open.isEmpty { begin() }
    for number in 0..<count {
      rows.append(Row(transaction: open[number % open.count], id: nextID))
      nextID += 1
    }
  }

  private mutating func rollBack(_ choice: Int) {
    guard !open.isEmpty else { return }
    let transaction = open.remove(at: choice % open.count)
    rows.removeAll { $0.transaction == transaction }
  }

  private mutating func ask(isLost: Bool) {
    switch reading.nextQuestion(nowMs: 0) {
    case nil: break
    case .look: reading.lookEnded(mayRead: true)
    case .page(let transaction, let id): answer(Int(transaction)!, id, isLost: isLost)
    }
  }

  /// As Postgres would. A session that is lost has given some of the rows.
  private mutating func answer(_ transaction: Int, _ id: Int64, isLost: Bool) {
    let oldestOpen = "\(open.min() ?? nextTransaction)"
    let page = committed.filter { ($0.transaction, $0.id) > (transaction, id) }
      .sorted { ($0.transaction, $0.id) < ($1.transaction, $1.id) }
      .prefix(isLost ? 7 : ControlReading.pageRows)
    for row in page { read(row, oldestOpen) }
    if isLost {
      reading.failed(isSessionLost: true, nowMs: 0)
      reading.sessionReady(timeline: "1")
    } else {
      if page.isEmpty { _ = reading.rowRead(nil, oldestOpen: oldestOpen, nowMs: 0) }
      reading.pageEnded(nowMs: 0)
    }
  }

  private mutating func read(_ row: Row, _ oldestOpen: String) {
    let control = ControlReading.Control(
      transaction: "\(row.transaction)", id: row.id, ageMs: 0)
    guard reading.rowRead(control, oldestOpen: oldestOpen, nowMs: 0) else { return }
    precondition(acted.insert(row.id).inserted, "one is acted on twice")
  }
}
