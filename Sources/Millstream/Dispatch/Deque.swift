/// A queue: in at the end, out at the front, each at a cost that does not depend on its length.
struct Deque<Element> {
  /// Those before `head` are gone.
  private var elements: [Element?] = []
  private var head = 0

  var count: Int { elements.count - head }
  var isEmpty: Bool { count == 0 }
  var first: Element? { isEmpty ? nil : elements[head] }

  mutating func append(_ element: Element) {
    elements.append(element)
  }

  mutating func popFirst() -> Element? {
    guard !isEmpty else { return nil }
    let element = elements[head]
    elements[head] = nil
    head += 1
    // What is moved is no more than what was taken out since the last time.
    if head * 2 >= elements.count { compact() }
    return element
  }

  /// Calls `body` for each, from the first on.
  func forEach(_ body: (Element) -> Void) {
    for element in elements[head...] { element.map(body) }
  }

  /// An empty queue owns no memory, however long it has been.
  private mutating func compact() {
    if isEmpty {
      elements = []
    } else if head >= 32 {
      elements.removeFirst(head)
    } else {
      return
    }
    head = 0
  }
}
