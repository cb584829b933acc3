import Testing

@testable import Millstream

@Suite struct ConnectionStringTests {
  @Test(
    arguments: [
      ("host=db.example", ["db.example"]),
      ("host=a,b,c", ["a", "b", "c"]),
      ("host=10.0.0.1", []),
      ("host=::1", []),
      ("host=10.0.0.1,::1", []),
      ("host=10.0.0.1,b", ["10.0.0.1", "b"]),
      ("host=/var/run/postgresql", []),
      ("host=/var/run/postgresql,b", ["/var/run/postgresql", "b"]),
      ("host=@abstract", []),
      ("host=a hostaddr=10.0.0.1", []),
      ("postgresql://u:p@a:5433,b/db", ["a", "b"]),
      ("postgresql://u@%2Fvar%2Frun/db", []),
      ("host=''", []),
    ] as [(String, [String])])
  func namesAreResolved(text: String, hosts: [String]) throws {
    #expect(try ConnectionString(text).hostsToResolve == hosts)
  }

  @Test(
    arguments: [
      ("host=a", [["1.1.1.1"]], "a", "1.1.1.1", nil),
      ("host=a port=6000", [["1.1.1.1", "::1"]], "a,a", "1.1.1.1,::1", "6000,6000"),
      (
        "host=a,b port=1,2", [["1.1.1.1", "1.1.1.2"], ["2.2.2.2"]], "a,a,b",
        "1.1.1.1,1.1.1.2,2.2.2.2", "1,1,2"
      ),
      ("host=a,b port=1", [["1.1.1.1"], ["2.2.2.2"]], "a,b", "1.1.1.1,2.2.2.2", "1,1"),
      ("host=a,b port=,2", [["1.1.1.1"], ["2.2.2.2"]], "a,b", "1.1.1.1,2.2.2.2", ",2"),
      ("host=a,b port=1,2", [[], ["2.2.2.2"]], "b", "2.2.2.2", "2"),
      ("host=/tmp,b port=1,2", [[], ["2.2.2.2"]], "/tmp,b", ",2.2.2.2", "1,2"),
      ("host=10.0.0.1,b", [["10.0.0.1"], ["2.2.2.2"]], "10.0.0.1,b", ",2.2.2.2", nil),
    ] as [(String, [[String]], String, String, String?)])
  func everyAddressOfEveryHostIsListed(
    text: String, addresses: [[String]], host: String, hostaddr: String, port: String?
  ) throws {
    var settings = try ConnectionString(text)
    settings.setAddresses(addresses)
    #expect(settings["host"] == host)
    #expect(settings["hostaddr"] == hostaddr)
    if let port { #expect(settings["port"] == port) }
  }

  @Test(
    arguments: [
      ("host=a,b,c port=1,2,3", 0, "a,b,c", nil, "1,2,3"),
      ("host=a,b,c port=1,2,3", 1, "b,c,a", nil, "2,3,1"),
      ("host=a,b,c port=1", 5, "c,a,b", nil, "1"),
      ("host=a,a hostaddr=1.1.1.1,::1", 1, "a,a", "::1,1.1.1.1", nil),
      ("hostaddr=1.1.1.1,::1", 1, nil, "::1,1.1.1.1", nil),
      ("host=a port=1", 7, "a", nil, "1"),
      ("host=a,,b", 1, ",b,a", nil, nil),
    ] as [(String, Int, String?, String?, String?)])
  func anotherHostIsTriedFirst(
    text: String, count: Int, host: String?, hostaddr: String?, port: String?
  ) throws {
    var settings = try ConnectionString(text)
    settings.rotateHosts(by: count)
    #expect(settings["host"] == host)
    #expect(settings["hostaddr"] == hostaddr)
    #expect(settings["port"] == port)
  }

  @Test func nothingToResolveChangesNothing() throws {
    var settings = try ConnectionString("host=/tmp port=5")
    settings.setAddresses([])
    #expect(settings["host"] == "/tmp" && settings["hostaddr"] == nil && settings["port"] == "5")
  }

  @Test func defaultsGiveWay() throws {
    var settings = try ConnectionString("application_name=mine dbname=d")
    settings.setDefault("application_name", "ours")
    settings.setDefault("keepalives_idle", "10")
    settings.set("dbname", "e")
    #expect(settings["application_name"] == "mine")
    #expect(settings["keepalives_idle"] == "10")
    #expect(settings["dbname"] == "e")
    #expect(settings.options.count { $0.keyword == "dbname" } == 1)
  }

  @Test(arguments: ["host", "nonsense=1", "host='a", "postgresql://[::1/db", "postgresql://a?x=1"])
  func badStringsAreRefusedInASentence(text: String) {
    #expect {
      try ConnectionString(text)
    } throws: { error in
      let sentence = "\(error)"
      return sentence.hasPrefix("the database connection string is not valid: ")
        && !sentence.hasSuffix("\n")
    }
  }

  @Test func parametersEndInNull() throws {
    let settings = try ConnectionString("host=/tmp dbname='a b'")
    let pairs = settings.withParameters { keywords, values in
      var found: [String] = []
      var index = 0
      while let keyword = keywords[index], let value = values[index] {
        found.append(String(cString: keyword) + "=" + String(cString: value))
        index += 1
      }
      return values[index] == nil ? found : []
    }
    #expect(pairs.contains("dbname=a b") && pairs.contains("host=/tmp"))
    #expect(pairs.count == settings.options.count)
  }

  @Test(arguments: [
    "postgres://u:geheim@[::1]x/db", "host=x password=my geheim", "postgres://u:p@h/db?geheim",
    "postgres://u:gehe%zzim@h/db", "postgres://u:pa@geheim@127.0.0.1/db",
    "postgres://u:x\"geheim@[::1]x/db",
    "postgres://u:geheim/x@h/db", "password=a geheim=b", "postgres://u:p@h/d?\"geheim=1",
  ])
  func noPartOfAPasswordIsSaid(text: String) {
    let error = #expect(throws: ConfigurationError.self) { try ConnectionString(text) }
    let sentence = error?.description ?? ""
    #expect(!sentence.contains("geheim") && !sentence.contains("gehe%"), "\(sentence)")
  }

  @Test(arguments: [
    ("x", "x"), ("expected \":\" or \"/\": \"ab\"", "expected \":\" or \"/\": …"),
    ("missing \"=\" after \"a b\" in it", "missing \"=\" after … in it"), ("\"ab\"cd\" e", "… e"),
    ("a \"bc", "a …"), ("a \"", "a …"), ("", ""), ("\"a\"", "\"a\""),
  ])
  func valuesAreLeftOut(message: String, left: String) {
    #expect(ConnectionString.withoutValues(message) == left)
  }

  @Test(arguments: [
    "host=@abstract", "host=/run/a@b", "host=a,b port=1,2", "port=5432", "host=a,@b port=,1",
  ])
  func hostsAndPortsThatAreInOrderAreTaken(text: String) throws {
    _ = try ConnectionString(text)
  }
}
