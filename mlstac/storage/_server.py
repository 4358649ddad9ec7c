"""A web server for a folder: byte ranges, ETags and CORS, so that a dataset can be read from it as from any other."""

import asyncio
import html
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mlstac.errors import MissingFileError, StorageError
from mlstac.storage._loop import LoopThread
from mlstac.storage._urls import local_path
from mlstac.storage._waiting import LOOK_S

if TYPE_CHECKING:
    from aiohttp import web

_FILES_S = 4.0
"""Longest wait, when a server is closed, for files that are being opened or closed."""

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified",
    "Access-Control-Max-Age": "86400",
}


class Server:
    """A folder served over HTTP by a thread of this process, until it is closed.

    Attributes
    ----------
    url : str
        Of the folder, with its closing slash.
    requests : int
        Answered so far.
    bytes_sent : int
        Of bodies, so far.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, host: str = "127.0.0.1", port: int = 0, cors: bool = True
    ) -> None:
        folder = Path(local_path(path)).resolve()
        if not folder.is_dir():
            raise MissingFileError(f"{os.fspath(path)} is not a folder, and a server serves one; check the path")
        self.requests = 0
        self.bytes_sent = 0
        self._folder = folder
        self._cors = cors
        self._runner: web.AppRunner
        self._listening: asyncio.Server
        self._closing = False
        self._closed = threading.Event()
        self._thread = LoopThread("mlstac-server")
        try:
            found = self._thread.run(lambda: self._open(host, port))
        except OSError as error:
            self.close()
            raise StorageError(
                f"no server on {host}:{port} ({error.strerror or error}); choose another port, or 0 for any that is "
                f"free"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{found}/"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def wait(self) -> None:
        """Wait until the server is closed, or Ctrl-C is pressed: for a command that serves in the foreground."""
        while not self._closed.wait(LOOK_S):
            pass

    def close(self) -> None:
        """Stop serving."""
        self._thread.stop(self._cleanup, wait=True, settle=self._settle)
        self._closed.set()

    async def _open(self, host: str, port: int) -> int:
        from aiohttp import web

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        application.on_response_prepare.append(self._prepare)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        assert self._runner.server is not None
        self._listening = await self._thread.loop.create_server(self._runner.server, host, port)
        return int(self._listening.sockets[0].getsockname()[1])

    async def _settle(self) -> None:
        """Let connections be made, and files be opened, that were begun, and begin no more.

        Cancelled amid that, they are left open: asyncio drops the socket, aiohttp the file.
        """
        self._closing = True
        if hasattr(self, "_listening"):
            for listening in self._listening.sockets:
                self._thread.loop.remove_reader(listening.fileno())
        # of what was accepted: a task makes the transport, that tells of itself, the task ends; a step each
        for _ in range(3):
            await asyncio.sleep(0)
        await self._thread.loop.calls_over(_FILES_S)

    async def _cleanup(self) -> None:
        if not hasattr(self, "_runner"):
            return
        for connection in self._runner.server.connections if self._runner.server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()  # to close it would wait for a client that takes nothing
        if hasattr(self, "_listening"):
            self._listening.close()
        await self._runner.cleanup()
        await self._thread.loop.calls_over(_FILES_S)

    async def _prepare(self, request: "web.Request", response: "web.StreamResponse") -> None:
        self.requests += 1
        if self._cors:
            response.headers.update(_CORS)
        if request.method == "GET":
            self.bytes_sent += response.content_length or 0

    async def _answer(self, request: "web.Request") -> Any:
        from aiohttp import web

        if request.method == "OPTIONS":
            return web.Response(status=204)
        if self._closing:
            raise web.HTTPServiceUnavailable
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "HEAD", "OPTIONS"])
        found = self._find(request.match_info["path"])
        if found is None:
            raise web.HTTPNotFound
        if found.is_dir():
            if not request.path.endswith("/"):
                raise web.HTTPMovedPermanently(quote(request.path) + "/")
            return web.Response(text=_listing(found, request.path), content_type="text/html")
        return web.FileResponse(found, chunk_size=1_048_576, headers={"Accept-Ranges": "bytes"})

    def _find(self, path: str) -> Path | None:
        """Return the file or folder that a path means, if it is there and, links followed, inside what is served."""
        if "\0" in path or any(part.startswith(".") for part in path.split("/")):
            return None  # hidden: an unfinished authoring's journal, or what nobody meant to publish
        found = (self._folder / path.lstrip("/")).resolve()
        return found if found.is_relative_to(self._folder) and found.exists() else None


def _listing(folder: Path, path: str) -> str:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir() if not entry.name.startswith("."))
    items = "\n".join(f'<li><a href="{quote(name)}">{html.escape(name)}</a></li>' for name in names)
    title = html.escape(path)
    return f"<!doctype html>\n<meta charset=utf-8>\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n{items}\n</ul>\n"


def open_server(path: str | os.PathLike[str], *, host: str = "127.0.0.1", port: int = 0, cors: bool = True) -> Server:
    """Serve a folder over HTTP, for a test, a demonstration or a colleague.

    Parameters
    ----------
    path : str or path
        The folder. Nothing outside of it is served, links out of it neither, and no name that begins with a dot.
    host, port : str, int
        Where to listen: by default on this machine alone, on any free port.
    cors : bool
        Whether pages of other hosts may read from it.

    Returns
    -------
    Server
        Serving already; a context manager. `Server.url` is the folder's URL.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    StorageError
        If the port is taken.
    """
    return Server(path, host=host, port=port, cors=cors)
