"""An application that is asked who may listen, and that has keys of tokens: an HTTP server in a thread."""

import contextlib
import http.server
import json
import socket
import threading

from .waiting import wait_until


class Application:
    """Answers each GET as `answer(path, headers)` says: (status, body, content type), or the same
    without the content type, or bytes that are sent as they are; None: not at all."""

    def __init__(self, answer=lambda path, headers: (204, b"")):
        self.answer = answer
        self.requests = []
        self.connection_count = 0
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._server = None
        self._held = threading.Event()
        self._connections = set()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, port=0):
        """Listens, on the same port as before if it is given."""
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        """Nobody answers any more; who waits is let go."""
        self._held.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/may-listen"

    def hold(self):
        """Blocks until `release`: for answers that shall not come yet."""
        self._held.wait()

    def release(self):
        self._held.set()

    def wait_for_requests(self, count):
        """The requests, once there are so many."""
        return wait_until(lambda: len(self.requests) >= count and self.requests, "requests")

    def _begin(self, path, headers):
        with self._lock:
            self.requests.append((path, headers))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)

    def _end(self):
        with self._lock:
            self.at_once -= 1


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        pass


def _handler(application):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            application.connection_count += 1
            application._connections.add(self.connection)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def finish(self):
            application._connections.discard(self.connection)
            super().finish()

        def do_GET(self):
            application._begin(self.path, self.headers)
            try:
                answer = application.answer(self.path, self.headers)
            finally:
                application._end()
            self._send(answer)

        def _send(self, answer):
            if answer is None or isinstance(answer, bytes):
                self.close_connection = True
                if answer:
                    self.wfile.write(answer)
                return
            status, body, *kind = answer
            if isinstance(body, (dict, list)):
                body, kind = json.dumps(body).encode(), ["application/json; charset=utf-8"]
            self.send_response(status)
            self.send_header("content-type", kind[0] if kind else "text/plain")
            if status != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
