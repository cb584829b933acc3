import Testing

@testable import Millstream

@Suite struct StoreAccessTests {
  @Test(
    arguments: [
      ([.native: .readable], [:]),
      ([.native: .missing], [.native: .missing]),
      ([.native: .forbidden], [.native: .forbidden]),
      ([.native: .readable, .pgmq: .missing], [:]),
      ([.native: .missing, .pgmq: .readable], [:]),
      ([.native: .missing, .pgmq: .missing], [.native: .missing, .pgmq: .missing]),
      ([.native: .forbidden, .pgmq: .missing], [.native: .forbidden]),
      ([.native: .forbidden, .pgmq: .readable], [.native: .forbidden]),
    ] as [([StoreKind: StoreAccess.Finding], [StoreKind: StoreAccess.Finding])])
  func missingStoreMattersAlone(
    findings: [StoreKind: StoreAccess.Finding], problems: [StoreKind: StoreAccess.Finding]
  ) {
    #expect(StoreAccess.problems(of: Set(findings.keys), findings) == problems)
  }
}
