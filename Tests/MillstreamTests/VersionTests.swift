import Millstream
import Testing

@Test func versionHasThreeParts() {
  #expect(Version.text.split(separator: ".").count == 3)
}
