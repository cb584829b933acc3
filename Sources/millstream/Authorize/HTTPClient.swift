import CLibCurl
import Millstream

/// A GET that is to be made.
struct HTTPRequest {
  var url: String
  /// Whole lines: `name: value`.
  var fields: [String] = []
  var timeoutMs: Int64
  /// A body that is longer is not read.
  var maximumBytes: Int
  /// Whether the environment may name a proxy.
  var mayUseProxy = false
}

/// What came of it.
enum HTTPOutcome {
  /// `body` nil: it is longer than what was wanted; `length` nil: it was not announced.
  case response(status: Int, contentType: String?, body: [UInt8]?, length: Int?)
  /// Why there is no response, for the log.
  case failure(String)
}

/// HTTP on a loop, by libcurl's multi interface: its sockets and its timer are watchers of the loop, its
/// connections are kept for the next request. Nothing here waits; names are resolved in threads of libcurl's.
final class HTTPClient {
  private let multi: UnsafeMutableRawPointer
  private let loop: EventLoop
  private var watchers: [curl_socket_t: IOWatcher] = [:]
  private var transfers: [UnsafeMutableRawPointer: HTTPTransfer] = [:]
  // Made with the client: what `deinit` made for the first time, to stop it, would have nobody to refer to.
  private let timer: TimerWatcher

  /// Once for the process, before there are threads that use it.
  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  /// At most `connections` at once, and kept.
  init(loop: EventLoop, connections: Int) {
    precondition(HTTPClient.isReady, "libcurl cannot be used")
    guard let multi = curl_multi_init() else { preconditionFailure("there is no memory left") }
    self.multi = multi
    self.loop = loop
    weak var weakSelf: HTTPClient?
    timer = TimerWatcher(loop: loop) { weakSelf?.act(CURL_SOCKET_TIMEOUT, 0) }
    weakSelf = self
    ms_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connections)
    ms_curl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections)
    ms_curl_multi_set_callbacks(
      multi, socketIsWanted, timerIsWanted, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit {
    stop()
    curl_multi_cleanup(multi)
  }

  /// Makes a request; `completion` is called later, on the loop, unless `stop` comes first.
  func get(_ request: HTTPRequest, completion: @escaping (HTTPOutcome) -> Void) {
    guard let transfer = HTTPTransfer(request, completion),
      curl_multi_add_handle(multi, transfer.easy) == CURLM_OK
    else { return completion(.failure("there is no memory left")) }
    transfers[transfer.easy] = transfer
  }

  /// Gives up what is under way.
  func stop() {
    for transfer in transfers.values { curl_multi_remove_handle(multi, transfer.easy) }
    transfers = [:]
    timer.stop()
  }

  private func act(_ socket: curl_socket_t, _ events: Int32) {
    var running: Int32 = 0
    curl_multi_socket_action(multi, socket, events, &running)
    collect()
  }

  /// Outside of libcurl's callbacks, so that completions may do what they like.
  private func collect() {
    var result = CURLE_OK
    while let easy = ms_curl_multi_finished(multi, &result) {
      let transfer = transfers.removeValue(forKey: easy)
      curl_multi_remove_handle(multi, easy)
      transfer?.finish(result)
    }
  }

  fileprivate func watch(_ socket: curl_socket_t, _ what: Int32) {
    guard what != CURL_POLL_REMOVE else {
      watchers[socket] = nil
      return
    }
    var events: IOEvents = []
    if what & CURL_POLL_IN != 0 { events.insert(.readable) }
    if what & CURL_POLL_OUT != 0 { events.insert(.writable) }
    let watcher = watchers[socket] ?? makeWatcher(socket)
    watcher.watch(socket, for: events)
  }

  private func makeWatcher(_ socket: curl_socket_t) -> IOWatcher {
    let watcher = IOWatcher(loop: loop) { [unowned self] events in
      let readable = events.contains(.readable) ? CURL_CSELECT_IN : 0
      act(socket, readable | (events.contains(.writable) ? CURL_CSELECT_OUT : 0))
    }
    watchers[socket] = watcher
    return watcher
  }

  /// Never acts at once, for this is called from within libcurl.
  fileprivate func setTimer(_ timeoutMs: Int) {
    if timeoutMs < 0 { timer.stop() } else { timer.fire(afterMs: Int64(timeoutMs)) }
  }
}

/// One request under way.
private final class HTTPTransfer {
  let easy: UnsafeMutableRawPointer
  private var fields: UnsafeMutablePointer<curl_slist>?
  private var body: [UInt8]? = []
  private let maximumBytes: Int
  private let completion: (HTTPOutcome) -> Void

  init?(_ request: HTTPRequest, _ completion: @escaping (HTTPOutcome) -> Void) {
    guard let easy = curl_easy_init() else { return nil }
    self.easy = easy
    self.completion = completion
    maximumBytes = request.maximumBytes
    for field in request.fields { fields = curl_slist_append(fields, field) }
    ms_curl_set_text(easy, CURLOPT_URL, request.url)
    ms_curl_set_headers(easy, fields)
    ms_curl_set_text(easy, CURLOPT_USERAGENT, "millstream/\(Version.text)")
    ms_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
    ms_curl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    ms_curl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(max(request.timeoutMs, 1)))
    ms_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
    if !request.mayUseProxy { ms_curl_set_text(easy, CURLOPT_PROXY, "") }
    ms_curl_set_write(easy, bytesCame, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit {
    curl_easy_cleanup(easy)
    curl_slist_free_all(fields)
  }

  /// False: that is too much, and nothing more is to come.
  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let count = body?.count, count + bytes.count <= maximumBytes else {
      body = nil
      return false
    }
    body?.append(contentsOf: bytes)
    return true
  }

  func finish(_ result: CURLcode) {
    guard result == CURLE_OK || body == nil else {
      return completion(.failure(String(cString: curl_easy_strerror(result))))
    }
    let type = ms_curl_content_type(easy).map { String(cString: $0) }
    let length = ms_curl_content_length(easy)
    completion(
      .response(
        status: ms_curl_status(easy), contentType: type, body: body,
        length: length < 0 ? nil : length))
  }
}

private func bytesCame(
  _ bytes: UnsafeMutablePointer<CChar>?, _: Int, _ count: Int, _ user: UnsafeMutableRawPointer?
) -> Int {
  guard let user else { return 0 }
  let transfer = Unmanaged<HTTPTransfer>.fromOpaque(user).takeUnretainedValue()
  return transfer.take(UnsafeRawBufferPointer(start: bytes, count: count)) ? count : count + 1
}

private func socketIsWanted(
  _: UnsafeMutableRawPointer?, _ socket: curl_socket_t, _ what: Int32,
  _ user: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?
) -> Int32 {
  guard let user else { return 0 }
  Unmanaged<HTTPClient>.fromOpaque(user).takeUnretainedValue().watch(socket, what)
  return 0
}

private func timerIsWanted(
  _: UnsafeMutableRawPointer?, _ timeoutMs: Int, _ user: UnsafeMutableRawPointer?
) -> Int32 {
  guard let user else { return 0 }
  Unmanaged<HTTPClient>.fromOpaque(user).takeUnretainedValue().setTimer(timeoutMs)
  return 0
}
