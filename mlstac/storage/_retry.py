"""When to try again, how long to wait, and when to give up. Time and chance are arguments."""

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from mlstac.errors import InvalidArgumentError, MlstacError, UnavailableError

# A broken-off body that got this far made progress: it is continued at once, and does not count against the tries.
_PROGRESS_BYTES = 65_536


class Clock:
    """The time, and waiting; tests give one of their own."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, for dates that a server names."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class TransientError(Exception):
    """Something that may go well the next time.

    Parameters
    ----------
    reason : str
        What happened, without credentials.
    throttled : bool
        Whether the server asked for fewer requests (429, 503).
    retry_after_s : float, optional
        How long it asked to be left alone.
    free : bool
        Whether to try again at once and uncounted: a kept connection had gone stale, nothing was amiss.
    unreachable : bool
        Whether there was no connection at all.
    """

    stranger = False
    """Whether the host has never answered: a name or a port with a slip in it, as a rule."""

    def __init__(
        self,
        reason: str,
        *,
        throttled: bool = False,
        retry_after_s: float | None = None,
        free: bool = False,
        unreachable: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.throttled = throttled
        self.retry_after_s = retry_after_s
        self.free = free
        self.unreachable = unreachable


@dataclass(frozen=True)
class Retry:
    """Bounds of patience for one read.

    Waits grow twofold from `first_s` to `longest_s`, each shortened by chance to between half and all of itself, so
    that many readers do not come back at one moment.
    """

    tries: int = 8
    """Attempts in a row without progress before giving up."""

    total_s: float = 120.0
    """Seconds from a read's first failure, or the last that brought some of it, after which it is given up."""

    first_s: float = 0.25
    """The first wait, in seconds."""

    longest_s: float = 20.0
    """No wait is longer, unless the server itself asks for more."""

    stranger_tries: int = 3
    """Attempts to connect to a host that has never answered."""

    def __post_init__(self) -> None:
        if self.tries < 1 or self.total_s < 0 or self.first_s < 0 or self.longest_s < 0:
            raise InvalidArgumentError(f"{self} cannot be meant: at least one try, and no negative time")

    def wait_s(self, failures: int, *, random: Callable[[], float]) -> float:
        """Return the wait after so many failures in a row; `random` gives numbers in [0, 1)."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30)) * (0.5 + 0.5 * random())


def parse_retry_after(value: str | None, *, wall: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (seconds, or a date), or None.

    References
    ----------
    RFC 9110, section 10.2.3.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall)
    except (ValueError, OverflowError):  # the latter of a time zone beyond all numbers
        return None


async def persist(
    attempt: Callable[[], Awaitable[None]],
    *,
    what: Callable[[], str],
    length: int,
    position: Callable[[], int],
    retry: Retry,
    clock: Clock,
    pause: Callable[[TransientError, float], Awaitable[None]],
    random: Callable[[], float] = chance.random,
) -> None:
    """Make an attempt until it succeeds or patience ends.

    Parameters
    ----------
    attempt : callable
        One try; raises `TransientError` where another may help, anything else is final.
    what : callable
        Tells what is read, for the error.
    length, position
        Bytes wanted, and a callable that tells how many have come so far.
    pause : callable
        Told of the failure and of the wait to make, in seconds; makes it.

    Raises
    ------
    UnavailableError
        When the tries or the time are used up; names the last failure.
    """
    failures = tries = 0
    spared = False
    most = 0
    first_failure: float | None = None
    patient_since = 0.0
    while True:
        try:
            return await attempt()
        except TransientError as error:
            fault = error
        except MlstacError as error:
            if error.__suppress_context__:
                # what is not to be shown need not travel: aiohttp's errors cannot be pickled, and where tracebacks are
                # pickled with their errors (tblib, in Dask's workers) ours could not be either
                error.__context__ = None
            raise
        # beyond what came before, for a server without ranges begins again each time: so progress has an end
        progressed = position() - most >= min(_PROGRESS_BYTES, max(1, length // 16))
        most = max(most, position())
        if fault.free and not spared:
            spared = True
            continue
        spared = False
        tries += 1
        now = clock.now()
        if first_failure is None or progressed:
            patient_since = now
        first_failure = now if first_failure is None else first_failure
        failures = 1 if progressed else failures + 1
        wait_s = 0.0 if progressed and not fault.throttled else retry.wait_s(failures, random=random)
        wait_s = max(wait_s, fault.retry_after_s or 0.0)
        tries_allowed = min(retry.tries, retry.stranger_tries) if fault.stranger else retry.tries
        if failures >= tries_allowed or now - patient_since + wait_s > retry.total_s:
            raise UnavailableError(_farewell(what(), fault, tries, now - first_failure, retry)) from None
        await pause(fault, wait_s)


def _farewell(what: str, fault: TransientError, tries: int, elapsed_s: float, retry: Retry) -> str:
    said = f"{what}: {fault.reason}; given up after {tries} {'try' if tries == 1 else 'tries'} in {elapsed_s:.0f} s"
    if fault.stranger:
        return f"{said}; check host and port, and that a server is there (`mlstac serve FOLDER` is one)"
    if fault.retry_after_s and fault.retry_after_s > retry.total_s:
        return f"{said}: the server asks to be left alone for {fault.retry_after_s:.0f} s; come back then"
    if fault.throttled:
        return f"{said}: it asks for fewer requests; read with fewer processes, or download first (stream=False)"
    return f"{said}; see whether the server is up and reachable, then run again"
