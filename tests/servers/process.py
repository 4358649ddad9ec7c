"""The same server in a process of its own, for measurements: its work must not share an interpreter with what is
measured."""

import argparse
import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.servers.fault import FaultServer

REPOSITORY = Path(__file__).resolve().parents[2]


class ServerProcess:
    """A `FaultServer` in a subprocess: `url`, `stats()`, `stop()`."""

    def __init__(self, folder: str | Path, *, latency_s: float = 0.0, bytes_per_s: float | None = None) -> None:
        command = [sys.executable, "-m", "tests.servers.process", str(folder), "--latency", str(latency_s)]
        if bytes_per_s is not None:
            command += ["--bytes-per-s", str(bytes_per_s)]
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        ports = self._process.stdout.readline().split()
        self.url = f"http://127.0.0.1:{ports[0]}/"
        self._control = f"http://127.0.0.1:{ports[1]}/"

    def stats(self) -> dict[str, Any]:
        """Requests, bytes sent, and the most connections and requests at once, so far."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self._control) as reply:
            return json.load(reply)

    def stop(self) -> None:
        # the server ends when its standard input does, so it cannot outlive whoever started it
        self._process.communicate()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


async def serve(folder: str, latency_s: float, bytes_per_s: float | None) -> None:
    server = FaultServer(folder, latency_s=latency_s, bytes_per_s=bytes_per_s)
    server.keep_requests = False

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        names = ("count", "bytes_sent", "connections", "connections_peak", "under_way_peak")
        body = json.dumps({name: getattr(server, name) for name in names}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    listening = await server.listen()
    controlling = await asyncio.start_server(control, "127.0.0.1", 0)
    print(server.port, controlling.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    listening.close()
    controlling.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--bytes-per-s", type=float)
    given = parser.parse_args()
    asyncio.run(serve(given.folder, given.latency, given.bytes_per_s))


if __name__ == "__main__":
    main()
