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
        self._stopped: asyncio.Event
        self._ends: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "ForwardProxy":
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopped.wait()
        # asyncio leaves a connection open for ever if its server is closed, or its task cancelled, before it is served
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())
        for _ in range(4):  # those just accepted: a task makes the transport, that tells of itself, it is served
            await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()
        server.close()
        await asyncio.sleep(0)  # each closes in the step after it is told

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_writer = None
        self._ends.append(writer)
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
                upstream, upstream_writer = await self._reach(host, int(port))
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                parts = urlsplit(target)
                upstream, upstream_writer = await self._reach(parts.hostname, parts.port)
                path = parts.path + ("?" + parts.query if parts.query else "")
                upstream_writer.write(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{rest}".encode("latin-1"))
            await asyncio.gather(self._pass(reader, upstream_writer), self._pass(upstream, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the proxy goes
        finally:
            for end in (writer, upstream_writer):
                if end is not None:
                    end.close()

    async def _reach(self, host: str | None, port: int | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host, port)
        self._ends.append(writer)
        return reader, writer

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
