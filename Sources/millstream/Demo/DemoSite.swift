import ArgumentParser
import Millstream

/// What the demo answers beside its stream: the page, what the page shows, and the way to publish.
struct DemoSite {
  /// The command line up to the statement.
  let psql: String
  /// The last line of the welcome: how it ends.
  let goodbye: String

  /// A command that publishes into the stream, for a shell.
  private var psqlLine: String {
    "\(psql) -c \"select millstream.publish('\(DemoFeed.stream)', 'hello')\""
  }

  func welcome(address: String) -> String {
    """
    Millstream demo: http://\(address)/
    Publish from a terminal, too:
      \(psqlLine)
    \(goodbye).
    """
  }

  /// Nil: not the demo's.
  func answer(_ request: EndpointRequest, feed: DemoFeed) -> FallbackResponse? {
    switch (request.path, request.isPost) {
    case ("/", false):
      FallbackResponse(status: 200, contentType: "text/html; charset=utf-8", body: DemoPage.html)
    case ("/demo/info", false):
      FallbackResponse(status: 200, contentType: "application/json", body: info)
    case ("/demo/publish", true): publish(request, feed: feed)
    default: nil
    }
  }

  private var info: String {
    let members = [("psql", psqlLine), ("stream", DemoFeed.stream), ("version", Version.text)]
      .map { "\"\($0)\":" + StderrLogHandler.quoted($1) }
    return "{" + members.joined(separator: ",") + "}"
  }

  private func publish(_ request: EndpointRequest, feed: DemoFeed) -> FallbackResponse {
    guard isOwn(request) else { return refusal(403, "only the demo's own page may publish") }
    guard let data = request.query("data"), !data.isEmpty else {
      return refusal(400, "there is nothing to publish: data is missing or empty")
    }
    let event = request.query("event"), exclude = request.query("exclude")
    if let problem = problem(data: data, event: event, exclude: exclude) {
      return refusal(400, problem)
    }
    guard feed.publish(data, event: event, exclude: exclude) else {
      return refusal(503, "the database is away; try again")
    }
    return FallbackResponse(status: 204, contentType: "text/plain", body: "")
  }

  /// Pages of others must not publish through a visitor's browser, which says whose page it is.
  private func isOwn(_ request: EndpointRequest) -> Bool {
    guard let origin = request.field("origin") else { return true }
    return request.field("host").map { "http://\($0)" } == origin
  }

  private func problem(data: String, event: String?, exclude: String?) -> String? {
    if let problem = BroadcastData.problem(in: Array(data.utf8)) { return "the data \(problem)" }
    // A NUL would end the text on its way through C.
    if [event, exclude].contains(where: { $0?.utf8.contains(0) == true }) {
      return "event and exclude must not have a NUL in them"
    }
    do {
      if let event { try BroadcastData.checkEvent(event) }
      return nil
    } catch {
      return error.message
    }
  }

  private func refusal(_ status: Int, _ sentence: String) -> FallbackResponse {
    FallbackResponse(status: status, contentType: "text/plain", body: sentence + "\n")
  }
}
