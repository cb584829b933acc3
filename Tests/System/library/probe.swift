// Linked into a library beside Millstream, by the test: what Swift finds at run time through the
// sections of the image that it is in, and what it has to have set up before the first call.

protocol Shape {
  associatedtype Unit
  var area: Double { get }
}

struct Square: Shape, Hashable {
  typealias Unit = Int
  var side: Int
  var area: Double { Double(side * side) }
}

extension Int: Shape {
  typealias Unit = String
  var area: Double { 0.5 }
}

enum Colour: String, CaseIterable { case red, green }

struct Problem: Error { var reason: String }

final class Counted {
  nonisolated(unsafe) static var alive = 0
  init() { Counted.alive += 1 }
  deinit { Counted.alive -= 1 }
}

let table: [AnyHashable: Any] = [1: Square(side: 3), "two": 7, Square(side: 3): Colour.green]

func unit<Some: Shape>(of shape: Some) -> String { "\(Some.Unit.self)" }

func fail() throws { throw Problem(reason: "none") }

func caught() -> String {
  do {
    try fail()
    return "nothing"
  } catch let any {
    return (any as? Problem)?.reason ?? "something else"
  }
}

func countedAfterUse() -> Int {
  do { _ = [Counted(), Counted()] }
  return Counted.alive
}

func findings() -> [String] {
  let shape = table[1] as? any Shape
  return [
    "cast \(shape?.area ?? -1) \((table["two"] as? any Shape)?.area ?? -1)",
    "no cast \("text" as Any is any Shape)",
    "key \(table[Square(side: 3)] ?? "none")",
    "unit \(unit(of: Square(side: 1))) \(unit(of: 1))",
    "by name \(_typeByName("5Probe6SquareV").map { "\($0)" } ?? "none")",
    "fields \(Mirror(reflecting: Square(side: 4)).children.map { "\($0.label ?? "")=\($0.value)" })",
    "cases \(Colour.allCases) \(Colour(rawValue: "red").map { "\($0)" } ?? "none")",
    "unicode \("é" == "e\u{301}") \("größe 🚰".uppercased())",
    "key path \(Square(side: 5)[keyPath: \Square.side])",
    "caught \(caught())",
    "alive \(countedAfterUse())",
  ]
}

/// Writes the findings, one a line, and as many bytes of them as there is room for.
@_cdecl("millstream_probe")
public func millstreamProbe(_ text: UnsafeMutablePointer<CChar>, _ size: Int) {
  let found = findings().joined(separator: "\n").utf8CString.prefix(size)
  for (place, byte) in found.enumerated() { text[place] = byte }
}
