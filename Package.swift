// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "millstream",
  products: [
    .library(name: "Millstream", targets: ["Millstream"]),
    // What `make library` links into libmillstream.so and libmillstream.a, for C.
    .library(name: "MillstreamC", type: .static, targets: ["MillstreamC"]),
    .executable(name: "millstream", targets: ["millstream"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    .systemLibrary(name: "CLibEv", providers: [.apt(["libev-dev"])]),
    .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    // libpq needs OpenSSL anyway: its HMAC costs no build time and no second crypto library.
    .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    // For the command alone: what is linked with the library asks nobody over HTTP.
    .systemLibrary(
      name: "CLibCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    // libcurl needs it anyway.
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CSystem"),
    .target(
      name: "Millstream",
      dependencies: [
        "CLibEv", "CLibPQ", "CLibCrypto", "CSystem",
        .product(name: "Logging", package: "swift-log"),
      ]
    ),
    // The C interface: the header first, and its Swift side.
    .systemLibrary(name: "CMillstream"),
    .target(
      name: "MillstreamC",
      dependencies: [
        "CMillstream", "CLibEv", "Millstream", .product(name: "Logging", package: "swift-log"),
      ]
    ),
    .executableTarget(
      name: "millstream",
      dependencies: [
        "Millstream", "CLibCrypto", "CLibPQ", "CLibCurl", "CZlib",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      exclude: ["Browser/millstream.d.ts"],
      resources: [.embedInCode("Status/status.html"), .embedInCode("Browser/millstream.js")]
    ),
    // The benchmark's load client: nothing of the library is in it.
    .target(name: "CLoad", path: "bench/load/CLoad"),
    .executableTarget(
      name: "millstream-load", dependencies: ["CLoad"], path: "bench/load", exclude: ["CLoad"]),
    .testTarget(name: "MillstreamTests", dependencies: ["Millstream"]),
    .testTarget(
      name: "SimulationTests", dependencies: ["Millstream", "CLibEv", "CLibPQ"],
      path: "Tests/Simulation", exclude: ["mutations.py"]),
    .testTarget(name: "LoadTests", dependencies: ["millstream-load"]),
    .testTarget(name: "CommandTests", dependencies: ["millstream"]),
  ],
  swiftLanguageModes: [.v6]
)
