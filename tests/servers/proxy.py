"""A tiny forward proxy: whole URLs for http, CONNECT for https."""

import asyncio
import contextlib
import threading
from urllib.parse import urlsplit


class ForwardProxy:
    """Passes requests on, and keeps their first lines."""

    def __init__(self, *, authorization: str | None = None) -> None:
        self.lines: list[str] = []
        self.authorization = authorization
        self.port = 0
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "ForwardProxy":
        ready = threading.Event()

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            self._loop.run_forever()
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    self._loop.run_until_complete(task)
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_writer = None
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, _, rest = head.partition("\r\n")
            self.lines.append(line)
            method, target, _ = line.split(" ")
            if self.authorization is not None and f": {self.authorization}".lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            if method == "CONNECT":
                host, _, port = target.partition(":")
                upstream, upstream_writer = await asyncio.open_connection(host, int(port))
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                parts = urlsplit(target)
                upstream, upstream_writer = await asyncio.open_connection(parts.hostname, parts.port)
                path = parts.path + ("?" + parts.query if parts.query else "")
                upstream_writer.write(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{rest}".encode("latin-1"))
            await asyncio.gather(self._pass(reader, upstream_writer), self._pass(upstream, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, upstream_writer):
                if end is not None:
                    end.close()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            else:
                writer.close()
