import Testing

@testable import Millstream

@Suite struct WebOriginTests {
  @Test(arguments: [
    "null", "https://app.example", "http://localhost:3000", "https://[2001:db8::1]",
    "http://[::1]:8080", "https://192.0.2.1:8443", "https://xn--mnchen-3ya.example",
    "chrome-extension://abcdefgh", "capacitor://localhost", "https://app.example:80",
    "http://a_b.example",
  ])
  func browsersSendIt(origin: String) { #expect(WebOrigin.isSent(origin)) }

  @Test(arguments: [
    "", "x.com", "https://", "https://x/", "https://x/path", "//x.com", "https:x.com",
    "https://X.com", "HTTPS://x.com", "https://x.com:443", "http://x.com:80", "https://x.com:",
    "https://x.com:a", "https://x.com:123456", "https://*.x.com", "https://u@x.com",
    "https://x.com?a", "https://x.com#a", "https://x com", "https://a,https://b", "1https://x",
    "https://münchen.example", "https://x.com\n", "Null", ":", "://x", "https://[::1]8080",
  ])
  func noBrowserSendsIt(origin: String) { #expect(!WebOrigin.isSent(origin)) }
}
