/// One line `name = value` of a TOML file.
struct TOMLSetting: Equatable {
  let name: String
  let value: TOMLValue
  /// Where the name stands; the first line is 1.
  let line: Int
}

/// A value of the part of TOML that is read.
enum TOMLValue: Equatable {
  case text(String)
  case integer(Int64)
  case boolean(Bool)
  case list([TOMLValue])
}

/// Why a TOML file is refused. Never says a value, which may be secret.
struct TOMLError: Error, Equatable {
  /// The first line is 1.
  let line: Int
  let message: String
}
