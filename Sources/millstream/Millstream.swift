import ArgumentParser
import CLibEv
import CLibPQ
import Millstream

@main
struct MillstreamCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "millstream", version: Version.text)
}
