import Millstream

/// A JSON text that was read as a whole. For what is small: the rest of the program borrows.
indirect enum JSONTree: Equatable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case list([JSONTree])
  case object([String: JSONTree])

  /// Nil: it is not JSON.
  init?(_ text: String) {
    var text = text
    guard
      let tree = text.withUTF8({
        JSONScanner.value(of: UnsafeRawBufferPointer($0)).map(JSONTree.tree)
      })
    else { return nil }
    self = tree
  }

  /// The scanner has checked all of it.
  private static func tree(_ value: JSONValue) -> JSONTree {
    switch value.kind {
    case .null: .null
    case .true: .bool(true)
    case .false: .bool(false)
    case .number: .number(number(value.raw))
    case .string: .string(text(value.string))
    case .array: .list(elements(of: value))
    case .object: .object(members(of: value))
    }
  }

  /// One beyond what there can be of anything becomes that, so that whatever is made of it fits an integer.
  private static func number(_ text: UnsafeRawBufferPointer) -> Double {
    let number = Double(String(decoding: text, as: UTF8.self)) ?? 0
    return min(max(number, -largestNumber), largestNumber)
  }

  private static let largestNumber = 1e15

  private static func text(_ string: JSONString?) -> String {
    String(decoding: string?.unescaped() ?? [], as: UTF8.self)
  }

  private static func elements(of value: JSONValue) -> [JSONTree] {
    var list: [JSONTree] = []
    var walk = JSONElements(of: value.raw)
    while case .element(let element)? = walk?.next() { list.append(tree(element)) }
    return list
  }

  private static func members(of value: JSONValue) -> [String: JSONTree] {
    var object: [String: JSONTree] = [:]
    var walk = JSONMembers(of: value.raw)
    while case .member(let key, let member)? = walk?.next() { object[text(key)] = tree(member) }
    return object
  }

  /// The member of that name; `null` where there is none.
  subscript(name: String) -> JSONTree {
    if case .object(let members) = self { members[name] ?? .null } else { .null }
  }

  var list: [JSONTree] { if case .list(let list) = self { list } else { [] } }
  var number: Double? { if case .number(let number) = self { number } else { nil } }
  var string: String? { if case .string(let string) = self { string } else { nil } }
  var isTrue: Bool { self == .bool(true) }
}
