"""Reads how long an upstream asks callers to wait: the one reader for all vendors, attempts and credentials. Pure.

retry-after-ms: 1500                                     milliseconds
retry-after: 20 · 1.5 · Wed, 21 Oct 2026 07:28:00 GMT    seconds, or an HTTP date
x-ratelimit-reset-requests: 6m0s                         a duration, if x-ratelimit-remaining-requests is 0
anthropic-ratelimit-tokens-reset: 2026-10-21T07:28:00Z   a time, if anthropic-ratelimit-tokens-remaining is 0
x-ratelimit-reset: 1792567680000                         an epoch, or seconds, if x-ratelimit-remaining is 0
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_S: Final = 86_400.0
"""Longer waits are reduced to one day."""
_MAX_CHARS: Final = 64
_PREFIXES: Final = ("retry-after", "x-ratelimit-", "anthropic-ratelimit-")
_OPENAI_LIMITS: Final = ("requests", "tokens")
_ANTHROPIC_LIMITS: Final = ("requests", "tokens", "input-tokens", "output-tokens")
_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_DURATION: Final = re.compile("".join(rf"(?:{_NUMBER}{unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")) + r"\Z")
_UNITS_S: Final = (86_400.0, 3600.0, 60.0, 1.0, 0.001)
_EPOCH_S: Final = 1e9
"""Larger numbers are seconds since 1970, and those from 1000 times that, milliseconds."""


def read_retry_after_s(headers: Iterable[tuple[str, str]], now_us: int) -> float | None:
    """Return how many seconds to wait, from 0 to one day, or None if the headers (in lower case) do not say it."""
    found = {name: value.strip() for name, value in headers if name.startswith(_PREFIXES) and len(value) <= _MAX_CHARS}
    if not found:
        return None
    now_s = now_us / 1e6
    for wait_s in (
        _scaled(_number(found.get("retry-after-ms")), 0.001),
        _seconds_or_date(found.get("retry-after"), now_s),
        _reset_of_exhausted_limits(found, now_s),
    ):
        if wait_s is not None:
            return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
    return None


def whole_seconds(wait_s: float) -> int:
    """Return the value of a `Retry-After` header: at least 1, and never shorter than the wait."""
    return max(1, math.ceil(min(wait_s, MAX_RETRY_AFTER_S)))


def _reset_of_exhausted_limits(found: Mapping[str, str], now_s: float) -> float | None:
    """Return when the last exhausted rate limit is reset."""
    waits = [
        _duration(found.get(f"x-ratelimit-reset-{limit}"), now_s)
        for limit in _OPENAI_LIMITS
        if found.get(f"x-ratelimit-remaining-{limit}") == "0"
    ]
    waits += [
        _until(found.get(f"anthropic-ratelimit-{limit}-reset"), now_s)
        for limit in _ANTHROPIC_LIMITS
        if found.get(f"anthropic-ratelimit-{limit}-remaining") == "0"
    ]
    if found.get("x-ratelimit-remaining") == "0":
        waits.append(_duration(found.get("x-ratelimit-reset"), now_s))
    return max((each for each in waits if each is not None), default=None)


def _seconds_or_date(value: str | None, now_s: float) -> float | None:
    """Read seconds, a duration with units (`1m30s`), or an HTTP date."""
    wait_s = _duration(value, now_s)
    if wait_s is not None or value is None:
        return wait_s
    try:
        at = parsedate_to_datetime(value)
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return None


def _duration(value: str | None, now_s: float) -> float | None:
    """Read a number of seconds, a point in time as a number, or a duration with units."""
    number = _number(value)
    if number is not None:
        if number >= _EPOCH_S * 1000:
            return number / 1000 - now_s
        return number - now_s if number >= _EPOCH_S else number
    matched = _DURATION.match(value) if value else None
    if matched is None:
        return None
    return sum(float(part) * unit_s for part, unit_s in zip(matched.groups(), _UNITS_S, strict=True) if part)


def _until(value: str | None, now_s: float) -> float | None:
    """Read a time in RFC 3339."""
    try:
        at = datetime.fromisoformat(value) if value else None
        return None if at is None else at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now_s
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _scaled(number: float | None, factor: float) -> float | None:
    return None if number is None else number * factor
