"""Ranges and small files from web servers: redirects, credentials and versions, over either engine."""

import asyncio
import functools
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from mlstac.errors import AccessError, FormatError, RangeError, StorageError
from mlstac.storage._answers import Head, Version, check_range, count_of, failure_of, unsatisfied_size, version_of
from mlstac.storage._budget import budget_of
from mlstac.storage._connection import Accept, Sink, UnsupportedAnswerError
from mlstac.storage._hub import find_token, hub_endpoint, is_hub_file
from mlstac.storage._options import HttpOptions, split_login
from mlstac.storage._places import Places, encode
from mlstac.storage._reads import Gather, Read, Scatter
from mlstac.storage._retry import Clock, TransientError
from mlstac.storage._session import SessionEngine
from mlstac.storage._signed import life_of
from mlstac.storage._straight import Over, Straight, Way
from mlstac.storage._urls import redact
from mlstac.storage._wire import WireEngine, compose

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_HUB = "https://huggingface.co:443"
# For a URL that a redirect led to and that does not say how long it is good for: asking anew costs one request.
_REDIRECT_LIFE_S = 300.0
_MOST_WAYS = 4096


class WebSource:
    """Reads by http(s). One attempt a call: retries are above.

    Parameters
    ----------
    options : HttpOptions
        The caller's settings.
    connect_s, stall_s : float
        Seconds to wait for a connection, and for the next byte.
    clock : Clock
        The time.
    versions : dict
        What servers said of files by URL; shared with whoever has bytes of them from elsewhere.
    home : callable
        Tells the one origin that the caller's headers are for, or None: then they are for the origin of each URL.
    """

    def __init__(
        self,
        options: HttpOptions,
        *,
        connect_s: float,
        stall_s: float,
        clock: Clock,
        versions: dict[str, Version],
        home: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._options = options
        self._home = home
        self._clock = clock
        self._wire = WireEngine(connect_s=connect_s, stall_s=stall_s, tls=options.tls_context)
        self._session = SessionEngine(options, connect_s=connect_s, stall_s=stall_s)
        self._beyond_wire: set[str] = set()
        self._reached: set[str] = set()
        self._plain_origins: dict[str, bool] = {}
        self._versions = versions
        self._places = Places(clock)
        self._ways: dict[str, Way] = {}
        self._token: str | None = None
        self._headers: dict[str, str] | None = None
        self._headers_age = 0
        self._refreshing = asyncio.Lock()
        self.requests = 0

    @property
    def connections(self) -> int:
        """Connections of the lower engine open now."""
        return self._wire.connections

    async def read(self, read: Read, scatter: Scatter) -> None:
        """Make one attempt at the rest of a read."""
        start, url = read.start + scatter.position, read.url

        def accept(head: Head) -> Sink | None:
            return self.accept_range(head, read, scatter)

        head = await self._ask(url, {"Range": f"bytes={start}-{read.stop - 1}"}, accept)
        if (
            head.status == 416
            and (known := self._versions.get(url)) is not None
            and unsatisfied_size(head) not in (None, known.size)
        ):
            check_range(head, url, start, read.stop, size=read.size, seen=known)
        if head.status not in (200, 206):
            raise failure_of(head, url, wall=self._clock.wall(), size=read.size)

    def begin(self, read: Read, scatter: Scatter, over: Over) -> "Straight | None":
        """Make one attempt at a read without a coroutine, by the way that the last read of that file took.

        That is most of what a read costs where there are many small ones.

        Parameters
        ----------
        over : callable
            Told once, in a later step of the loop, that the bytes are there, or what `read` would raise. A
            `TransientError` that is ``free`` says that the way is of no use any more: `read` finds another.

        Returns
        -------
        Straight or None
            The attempt, which can be given up. None if no way is known, or no connection is idle: then `over` is told
            nothing.
        """
        way = self._ways.get(read.url)
        if way is None:
            return None
        if way.headers_age != self._headers_age or way.home != self._home() or self._clock.now() >= way.expires:
            del self._ways[read.url]
            return None
        attempt = Straight(self, way, read, scatter, over)
        request = b"%b%d-%d\r\n\r\n" % (way.request, read.start + scatter.position, read.stop - 1)
        attempt.connection = self._wire.begin(way.key, request, attempt)
        if attempt.connection is None:
            return None
        self.requests += 1
        return attempt

    def accept_range(self, head: Head, read: Read, scatter: Scatter) -> Sink | None:
        """Check an answer to a request for the rest of a read, before its body comes."""
        if head.status not in (200, 206):
            return None
        begin, url = read.start + scatter.position, read.url
        if head.status == 200 and read.start == 0 and head.length == read.stop:
            scatter.rewind()  # a server without ranges begins again
            begin = 0
        seen = self._versions.get(url)
        version = check_range(head, url, begin, read.stop, size=read.size, seen=seen)
        if seen is None:
            self._versions[url] = version
        return scatter

    def settle(self, url: str, way: Way, outcome: Head | Exception) -> Exception | None:
        """Judge how an attempt by a known way ended, and forget the way if it is of no use any more."""
        if isinstance(outcome, Head):
            if outcome.status in (200, 206):
                return None
            error = failure_of(outcome, url, wall=self._clock.wall())
            if isinstance(error, TransientError):
                return error
        if self._ways.get(url) is way:
            del self._ways[url]
        if isinstance(outcome, TransientError):
            self._wire.note(way.key, outcome)
        if not (isinstance(outcome, TransientError) and is_hub_file(url)):  # as in _ask
            self._places.forget(url, way.place)
        if isinstance(outcome, Head | UnsupportedAnswerError):
            # moved, refused, gone: that is for `read` to deal with, which asks again
            return TransientError("the way to the file has changed", free=True)
        return outcome

    def _remember_way(self, url: str, place: str, headers: dict[str, str]) -> None:
        """Keep how a range was asked for with success, where that was by a connection of our own and of no Hub."""
        if url in self._ways or is_hub_file(place) or not self._is_for_wire(origin_of(place)):
            return
        known, expires = self._places.get(url)
        if place != known:  # forgotten meanwhile: how long it is good for is known no more
            return
        if len(self._ways) >= _MOST_WAYS:  # files read once each, as those of one sample are
            self._ways.clear()
        key, request = compose(place, {name: value for name, value in headers.items() if name != "Range"})
        self._ways[url] = Way(place, key, request + b"Range: bytes=", self._headers_age, self._home(), expires)

    async def read_all(self, url: str, *, limit_bytes: int) -> bytearray:
        """Make one attempt at a whole file of unknown size."""

        def refuse() -> Exception:
            return FormatError(
                f"{redact(url)} holds more than {limit_bytes} bytes, which is too much for a file of its kind; check "
                f"the URL"
            )

        gather = Gather(limit_bytes, refuse)

        def accept(head: Head) -> Sink | None:
            if head.status != 200:
                return None
            if (head.length or 0) > limit_bytes:
                raise refuse()
            if head.headers.get("content-encoding", "identity") not in ("", "identity"):
                raise RangeError(
                    f"{redact(url)}: the server compresses its answer ({head.headers['content-encoding']}); switch "
                    f"that off"
                )
            return gather

        head = await self._ask(url, {}, accept)
        if head.status != 200:
            raise failure_of(head, url, wall=self._clock.wall())
        return gather.data

    async def version(self, url: str) -> Version:
        """Make one attempt at a file's state: by the first byte, for a signed URL may allow nothing but GET."""
        found: list[int] = []

        def accept(head: Head) -> Sink | None:
            if head.status == 200 and head.length is not None:
                found.append(head.length)
            elif head.status == 206:
                total = count_of(head.headers.get("content-range", "").rpartition("/")[2])
                if total is not None:
                    found.append(total)
            return None

        head = await self._ask(url, {"Range": "bytes=0-0"}, accept)
        if head.status == 416 and (empty := unsatisfied_size(head)) is not None:
            return version_of(head, empty)
        if head.status not in (200, 206):
            raise failure_of(head, url, wall=self._clock.wall())
        if not found:
            raise RangeError(
                f"{redact(url)}: the server does not tell the file's size; serve the folder with `mlstac serve`"
            )
        version = version_of(head, found[0])
        self._versions.setdefault(url, version)
        return version

    async def close(self) -> None:
        """Close every connection."""
        await self._wire.close()
        await self._session.close()

    async def _ask(self, url: str, headers: dict[str, str], accept: Accept) -> Head:
        """Ask for a URL, following redirects; with fresh credentials once if they are refused."""
        tried: set[str] = set()
        while True:
            moved, turn = await self._places.find(url)
            if moved is None or moved in tried:
                break
            tried.add(moved)
            try:
                head = await self._follow(url, moved, headers, accept)
            except TransientError as error:
                # the place may be gone for good: the next try asks where the file is now; the Hub counts such asking
                if error.unreachable or not is_hub_file(url):
                    self._places.forget(url, moved)
                raise
            if head.status < 400 or head.status in (408, 416, 425, 429) or head.status >= 500:
                return head
            # the URL that the server had sent us to may have expired: ask where it is now
            self._places.forget(url, moved)
        try:
            if self._headers is None:
                await self._refresh(self._headers_age)
            age = self._headers_age
            head = await self._follow(url, url, headers, accept)
            if head.status in (400, 401, 403) and callable(self._options.headers):
                await self._refresh(age)
                head = await self._follow(url, url, headers, accept)
            return head
        finally:
            self._places.end_turn(url, turn)

    async def _refresh(self, age: int) -> None:
        """Ask for fresh headers, once for all the requests that were refused with the old ones."""
        async with self._refreshing:
            if self._headers_age == age or self._headers is None:
                self._headers = await self._options.current_headers()
                self._token = None if self._options.token is False else find_token()
                self._headers_age += 1

    async def _follow(self, url: str, target: str, headers: dict[str, str], accept: Accept) -> Head:
        bare, login = split_login(url)
        origin = origin_of(bare)
        asking = target == url
        target, _ = split_login(target)
        target = encode(target)
        if self._headers is None:
            await self._refresh(self._headers_age)
        # a dataset may name files on hosts that its reader allowed, and did not give a key to
        own = dict(self._headers or {}) if self._home() in (None, origin) else {}
        if not any(name.lower() == "authorization" for name in own):
            if login is not None:
                own["Authorization"] = login
            elif self._token is not None and self._home() in (None, origin) and self._is_hub(origin):
                own["Authorization"] = f"Bearer {self._token}"
        life_s = _REDIRECT_LIFE_S

        def found(head: Head) -> Sink | None:
            if asking and head.status in (200, 206):
                self._places.note(url, target, life_s)
            return accept(head)

        for _ in range(_MOST_REDIRECTS + 1):
            # what the caller gave is for the host that the caller named
            sent = {"Accept": "*/*", "User-Agent": "mlstac"} | (own if origin_of(target) == origin else {})
            head = await self._get(target, sent | {"Accept-Encoding": "identity"} | headers, found)
            location = head.headers.get("location")
            if head.status not in _REDIRECTS or not location:
                if head.status == 206:
                    self._remember_way(url, target, sent | {"Accept-Encoding": "identity"} | headers)
                return head
            target = self._next(url, target, location)
            life_s = life_of(target, headers=head.headers, wall=self._clock.wall(), unknown_s=_REDIRECT_LIFE_S)
        raise StorageError(f"{redact(url)}: more than {_MOST_REDIRECTS} redirects; check the URL")

    def _next(self, url: str, target: str, location: str) -> str:
        found = encode(urljoin(target, location))
        scheme = urlsplit(found).scheme
        if scheme not in ("http", "https") or (scheme == "http" and target.startswith("https:")):
            raise AccessError(
                f"{redact(url)}: the server redirects from https to {redact(found)}, which is refused; give the URL "
                f"of the file itself"
            )
        return split_login(found)[0]

    def _is_hub(self, origin: str) -> bool:
        """Tell whether a host is the Hub, to which the token of whoever is logged in may go."""
        return origin in (origin_of(self._options.endpoint or hub_endpoint()), _HUB)

    async def _get(self, url: str, headers: dict[str, str], accept: Accept) -> Head:
        origin = origin_of(url)
        budget = budget_of(origin) if is_hub_file(url) else None
        if budget is not None:
            await budget.take(origin, self._clock)
        self.requests += 1
        try:
            head = await self._exchange(url, origin, headers, accept)
        except TransientError as error:
            error.stranger = error.unreachable and origin not in self._reached
            raise
        self._reached.add(origin)
        if budget is not None:
            spent = budget.note(head.status, head.headers, now=self._clock.now(), wall=self._clock.wall())
            if spent:  # the wait is the budget's, however long; it is no failure of this file
                raise TransientError("the server answered 429 (too many requests)", throttled=True)
        return head

    async def _exchange(self, url: str, origin: str, headers: dict[str, str], accept: Accept) -> Head:
        if self._is_for_wire(origin):
            try:
                return await self._wire.get(url, headers, accept)
            except UnsupportedAnswerError:
                self._beyond_wire.add(origin)
                self.requests += 1
        return await self._session.get(url, headers, accept)

    def _is_for_wire(self, origin: str) -> bool:
        if origin in self._beyond_wire or not self._options.is_plain:
            return False
        plain = self._plain_origins.get(origin)
        if plain is None:
            plain = self._plain_origins[origin] = self._options.proxy_for(origin) is None
        return plain


@functools.lru_cache(4096)
def origin_of(url: str) -> str:
    """Return scheme, host and port: what credentials are bound to (RFC 6454)."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.hostname}:{port}"
