// swift-tools-version: 6.2
import PackageDescription

// A server of its own that uses Millstream as a library; elsewhere, `url:` instead of `path:`.
let package = Package(
  name: "SwiftHost",
  dependencies: [.package(name: "millstream", path: "../../..")],
  targets: [
    .executableTarget(
      name: "SwiftHost", dependencies: [.product(name: "Millstream", package: "millstream")],
      path: "Sources")
  ],
  swiftLanguageModes: [.v6]
)
