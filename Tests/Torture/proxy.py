"""A TCP proxy between the server and Postgres that can go dead, come back, and cut."""

import asyncio
import contextlib
import threading


class Proxy:
    """Forwards from a port of its own to `target_port`, on a thread of its own."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.port = None
        self._loop = asyncio.new_event_loop()
        self._is_alive = None
        self._writers = set()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        started.wait()

    def die(self):
        """Nothing gets through any more, and nobody is told."""
        self._loop.call_soon_threadsafe(self._is_alive.clear)

    def revive(self):
        """What was held goes on."""
        self._loop.call_soon_threadsafe(self._is_alive.set)

    def cut(self):
        """Every connection ends, and what was under way in it is lost."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._is_alive = asyncio.Event()
        self._is_alive.set()
        listening = asyncio.start_server(self._accepted, "127.0.0.1", 0)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    def _abort_all(self):
        for writer in self._writers:
            writer.transport.abort()

    async def _accepted(self, reader, writer):
        self._writers.add(writer)
        try:
            await self._is_alive.wait()
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._writers.add(upstream)
            await asyncio.gather(
                self._forward(reader, upstream), self._forward(upstream_reader, writer)
            )
            self._writers.discard(upstream)
        except OSError:
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _forward(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._is_alive.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
