"""How long a signed URL is good for, by what it says itself. No I/O."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

_MARGIN_S = 60.0


def life_of(url: str, *, headers: Mapping[str, str], wall: float, unknown_s: float) -> float:
    """Return the seconds that a URL which a redirect led to may be used for.

    Parameters
    ----------
    url : str
        Signed as CloudFront (``Expires``), S3 (``X-Amz-Date``, ``X-Amz-Expires``), Google (``X-Goog-…``) or Azure
        (``se``) do it, or not at all.
    headers : mapping
        Of the answer that named it: its ``Date`` is of the clock that signed.
    wall : float
        This machine's time, in seconds since 1970, where the answer has no date.
    unknown_s : float
        For a URL that does not say.

    Returns
    -------
    float
        Until shortly before its end: a minute, or a tenth of its life where that is less. Not below zero.
    """
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    try:
        ends = _end_of(query)
    except (ValueError, OverflowError):
        ends = None
    if ends is None:
        return unknown_s
    try:
        now = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        now = wall
    left = ends - now
    return max(0.0, left - min(_MARGIN_S, left / 10))


def _end_of(query: Mapping[str, str]) -> float | None:
    ends = [float(query["expires"])] if "expires" in query else []
    for store in ("amz", "goog"):
        if f"x-{store}-expires" in query and f"x-{store}-date" in query:
            signed = datetime.strptime(query[f"x-{store}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            ends.append(signed.timestamp() + float(query[f"x-{store}-expires"]))
    if "se" in query and "sig" in query:
        found = datetime.fromisoformat(query["se"])
        ends.append((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    return min(ends, default=None)
