"""What stands between a browser and a server: it takes connections and reads the head of each request."""

import contextlib
import socket
import threading


class Interposer:
    """Listens on a free port; what becomes of a request is a subclass's `answer(client, head)`."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    @property
    def url(self):
        """Where it listens."""
        return "http://127.0.0.1:%d" % self._listener.getsockname()[1]

    # Its threads

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                got = client.recv(1 << 16)
                if not got:
                    return
                head += got
            self.answer(client, head)
