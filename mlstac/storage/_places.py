"""Where files were found that a redirect led to, for as long as that is good."""

import asyncio
import functools
from urllib.parse import quote, urlsplit, urlunsplit

from mlstac.storage._hub import is_hub_file
from mlstac.storage._options import split_login
from mlstac.storage._retry import Clock


class Places:
    """The place of each file as the last answer told it; and of a Hub's files, whose turn it is to ask.

    Parameters
    ----------
    clock : Clock
        The time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moved: dict[str, tuple[str, float]] = {}
        self._asking: dict[str, asyncio.Event] = {}
        self._unmoved: set[str] = set()

    def get(self, url: str) -> tuple[str, float]:
        """Return where a file was found and until when that is good; its own URL, for ever, if no other was told."""
        return self._moved.get(url, (encode(split_login(url)[0]), float("inf")))

    async def find(self, url: str) -> tuple[str | None, asyncio.Event | None]:
        """Return where a file was found before, if that still holds; else whether it is this request's turn to ask.

        Of many requests for one file of a Hub, the first asks where it is, and the others wait for the answer.
        """
        while (asking := self._asking.get(url)) is not None:
            await asking.wait()
        moved, expires = self._moved.get(url, ("", 0.0))
        if moved and self._clock.now() < expires:
            return moved, None
        if not is_hub_file(url) or url in self._unmoved:
            return None, None
        turn = self._asking[url] = asyncio.Event()
        return None, turn

    def end_turn(self, url: str, turn: asyncio.Event | None) -> None:
        """Let the others ask who wait for this request's answer."""
        if turn is not None and self._asking.get(url) is turn:
            del self._asking[url]
            turn.set()

    def note(self, url: str, target: str, life_s: float) -> None:
        """Remember where a file was found, and let those ask who wait for it."""
        if target != encode(split_login(url)[0]):
            self._moved[url] = (target, self._clock.now() + life_s)
        else:
            self._moved.pop(url, None)
            if is_hub_file(url):
                self._unmoved.add(url)
        if (turn := self._asking.get(url)) is not None:
            self.end_turn(url, turn)

    def forget(self, url: str, moved: str) -> None:
        """Forget that a file was found at a place."""
        if self._moved.get(url, ("", 0.0))[0] == moved:  # else another request has asked already
            del self._moved[url]


@functools.lru_cache(4096)
def encode(url: str) -> str:
    """Return a URL as it goes over the wire: spaces and letters beyond ASCII encoded, no fragment."""
    parts = urlsplit(url)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return urlunsplit((parts.scheme, host, path, quote(parts.query, safe="/%:@!$&'()*+,;=~-._?"), ""))
